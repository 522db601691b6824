import { lookup, Resolver } from "node:dns/promises";
import type { Resolved } from "./name-resolver.ts";

/** Of what the resolver library says without a TTL (the hosts file, for instance). */
const UNKNOWN_TTL_MS = 30_000;
const TIMEOUT_MS = 5_000;

/** The addresses of a name, IPv4 first; IPv6 where it has no other. Rejects where it has none. */
export async function resolveName(name: string): Promise<Resolved> {
  const resolver = new Resolver({ timeout: TIMEOUT_MS, tries: 2 });
  for (const family of [4, 6] as const) {
    try {
      const records =
        family === 4
          ? await resolver.resolve4(name, { ttl: true })
          : await resolver.resolve6(name, { ttl: true });
      if (records.length === 0) continue;
      const ttlMs = Math.min(...records.map(({ ttl }) => ttl)) * 1_000;
      return { addresses: records.map(({ address }) => address), ttlMs };
    } catch {
      // The hosts file, which this resolver does not read, may know it.
    }
  }
  const found = await lookup(name, { all: true });
  return { addresses: found.map(({ address }) => address), ttlMs: UNKNOWN_TTL_MS };
}
