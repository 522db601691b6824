import { createHash } from "node:crypto";

/** Enough that nobody finds two identities with one name. */
const DIGITS = 32;

/**
 * The server name under which a host is asked for an identity (TLS server_name, RFC 6066 section 3): the first half of
 * the SPIFFE ID's SHA-256. SPIFFE IDs have characters and lengths that host names cannot have, and nobody on the
 * wire shall read them.
 */
export function sniOf(identity: string): string {
  const digest = createHash("sha256").update(identity).digest("hex");
  return `${digest.slice(0, DIGITS)}.hostmesh`;
}
