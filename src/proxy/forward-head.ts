import { deadlineLine } from "./routing/policy/overrides.ts";

/** The head for an endpoint, told how long its caller will wait; `leftMs` in ms, Infinity where there is no limit. */
export function withDeadline(text: string, leftMs: number): string {
  return leftMs === Number.POSITIVE_INFINITY ? text : withLine(text, deadlineLine(leftMs));
}

/** A head (and what follows it) with more lines at the head's end. */
export function withLine(text: string, line: string): string {
  const end = text.indexOf("\r\n\r\n") + 2;
  return `${text.slice(0, end)}${line}${text.slice(end)}`;
}
