import { findField } from "../../../http/headers.ts";
import type { RequestHead } from "../../../http/message.ts";

/** By which a request says where it wants to go, whatever its Host (Linkerd 1 and 2). */
export const DESTINATION_OVERRIDE = "l5d-dst-override";

/** Does a line of the head begin so? Most have none, and are not split for it. */
const LINE = /^l5d-dst-override[ \t]*:/im;

/** `NAME[.NAMESPACE...][:PORT]`, as the request has it; null: it has none. */
export function destinationOverride(head: RequestHead): string | null {
  if (!LINE.test(head.passed)) return null;
  return findField(head.fields, DESTINATION_OVERRIDE) ?? null;
}
