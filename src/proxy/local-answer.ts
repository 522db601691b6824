import { localResponse } from "../http/h1/serializer.ts";
import type { RequestHead } from "../http/message.ts";
import type { Origin } from "./context.ts";
import type { AnswerOptions } from "./failure.ts";
import type { RoutePlan } from "./route-plan.ts";
import { redirectTo } from "./routing/transform/redirect.ts";

/** A response that the rules themselves give. */
export interface LocalAnswer {
  readonly status: number;
  /** Name, value, name, value. */
  readonly fields: readonly string[];
  readonly body: string;
}

/** The answer of a rule that redirects or responds; null where it forwards. */
export function answerOf(plan: RoutePlan, head: RequestHead, origin: Origin): LocalAnswer | null {
  const action = plan.parts?.rule.action;
  if (action === undefined || action.kind === "forward") return null;
  if (action.kind === "respond") {
    const fields = action.body === "" ? [] : ["Content-Type", "text/plain; charset=utf-8"];
    return { status: action.status, fields, body: action.body };
  }
  const scheme = head.scheme === "" ? "http" : head.scheme;
  const request = { scheme, ...placeOf(head, origin), path: head.path };
  const { status, location } = redirectTo(action.redirect, request, plan.match);
  return { status, fields: ["Location", location], body: "" };
}

/** Host and port as the client named them; the port is 0 where it named none. */
function placeOf(head: RequestHead, { destination }: Origin): { host: string; port: number } {
  const { authority } = head;
  const colon = authority.lastIndexOf(":");
  const hasPort = colon !== -1 && !authority.endsWith("]");
  const host = hasPort ? authority.slice(0, colon) : authority;
  if (hasPort) return { host, port: Number(authority.slice(colon + 1)) };
  return { host: host === "" ? (destination?.host ?? "") : host, port: 0 };
}

/** The text of a local answer, CORS headers of its rule included. */
export function localAnswerText(
  { status, fields, body }: LocalAnswer,
  requestId: string,
  options: AnswerOptions,
): string {
  const id = requestId === "" ? [] : ["X-Request-Id", requestId];
  const usual = ["Server", "hostmesh", "Date", new Date().toUTCString(), ...id];
  return localResponse(status, [...usual, ...fields], body, options);
}
