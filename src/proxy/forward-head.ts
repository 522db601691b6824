import type { RequestHead } from "../http/message.ts";
import type { TokenEffects } from "./admission.ts";
import type { Origin } from "./context.ts";
import { upstreamHead } from "./rewrite.ts";
import type { RoutePlan } from "./route-plan.ts";
import { deadlineLine } from "./routing/policy/overrides.ts";
import { HeadEdits } from "./routing/transform/head-edits.ts";
import { rewritePath } from "./routing/transform/path-rewrite.ts";
import { requestLine } from "./routing/transform/request-line.ts";

/** What the head for an endpoint is made of, besides the client's own and the plan. */
export interface HeadParts {
  readonly origin: Origin;
  /** Lines that identify the request and its caller. */
  readonly lines: string;
  readonly firstHop: string;
  readonly effects: TokenEffects | null;
  /** What is left of the request's time, in ms; Infinity where it has no limit. */
  readonly leftMs: number;
}

/** The head for the endpoint, as the rules change it. */
export function upstreamText(head: RequestHead, plan: RoutePlan, parts: HeadParts): string {
  const { origin, lines, firstHop, effects, leftMs } = parts;
  const text = upstreamHead(head, origin, lines, firstHop, effects);
  return plan.active ? edited(text, head, plan, leftMs) : text;
}

function edited(text: string, head: RequestHead, plan: RoutePlan, leftMs: number): string {
  const { backend, parts, match, overrides } = plan;
  const rewrite = backend?.backend.rewrite ?? parts?.rule.rewrite;
  let now = text;
  if (rewrite !== undefined) {
    const path =
      rewrite.path === undefined ? head.path : rewritePath(head.path, rewrite.path, match);
    const { authority } = rewrite;
    now = requestLine(now, authority === undefined ? { path } : { path, authority });
  }
  if (backend?.requestEdits) now = backend.requestEdits.apply(now);
  if (overrides !== null) now = HeadEdits.of([{ remove: overrides.strip }])?.apply(now) ?? now;
  return leftMs === Number.POSITIVE_INFINITY ? now : withLine(now, deadlineLine(leftMs));
}

/** A head (and what follows it) with more lines at the head's end. */
export function withLine(text: string, line: string): string {
  const end = text.indexOf("\r\n\r\n") + 2;
  return `${text.slice(0, end)}${line}${text.slice(end)}`;
}
