import type { RequestHead } from "../http/message.ts";
import { fieldOf } from "./routing/policy/field.ts";
import { deadlineLine, readOverrides } from "./routing/policy/overrides.ts";
import { HeadEdits } from "./routing/transform/head-edits.ts";

/** Fields in which a caller says how long it will wait. */
const SAID = HeadEdits.of([{ remove: ["x-envoy-expected-rq-timeout-ms", "grpc-timeout"] }]);
const SAYS = /^(?:x-envoy-expected-rq-timeout-ms|grpc-timeout):/im;

/**
 * The text of a head for an endpoint, told how long its caller will wait; `leftMs` in ms, Infinity where there is no
 * limit. It is told once, and never more than what a caller said itself whose wishes do not count here.
 */
export function withDeadline(text: string, leftMs: number, head: RequestHead): string {
  if (leftMs === Number.POSITIVE_INFINITY) return text;
  if (!SAYS.test(text)) return withLine(text, deadlineLine(leftMs, isGrpc(head)));
  const saidMs = readOverrides(head)?.deadlineMs ?? leftMs;
  const bare = SAID?.apply(text) ?? text;
  return withLine(bare, deadlineLine(Math.min(leftMs, saidMs), isGrpc(head)));
}

/** Is it a call of gRPC (`application/grpc`, `application/grpc+proto`, `application/grpc-web`)? */
function isGrpc({ fields }: RequestHead): boolean {
  return fieldOf(fields, "content-type")?.startsWith("application/grpc") ?? false;
}

/** A head (and what follows it) with more lines at the head's end. */
export function withLine(text: string, line: string): string {
  const end = text.indexOf("\r\n\r\n") + 2;
  return `${text.slice(0, end)}${line}${text.slice(end)}`;
}
