import type { Work } from "../translator.ts";

/** Services are called by their names, which are therefore labels of DNS (RFC 1123), at most 63 characters. */
export function refuseBadServiceName(
  work: Work<unknown>,
  name: string,
  at: readonly PropertyKey[],
): void {
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name)) return;
  work.refuse(at, "must name a Service: at most 63 lower-case letters, digits or -, and no dot");
}
