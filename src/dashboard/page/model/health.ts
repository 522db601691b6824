import type { Security } from "../../../sight/host-report.ts";

/** How well something goes; the page gives each a colour and a sign, so that neither is needed alone. */
export type Health = "good" | "warn" | "bad" | "none";

/** Below it, a service fails for its callers. */
export const FAILING = 0.95;
/** Below it, a service is worth a look. */
export const DEGRADED = 0.99;

export function healthOf(success: number | null): Health {
  if (success === null) return "none";
  if (success < FAILING) return "bad";
  return success < DEGRADED ? "warn" : "good";
}

export const HEALTH_WORDS: Readonly<Record<Health, string>> = {
  good: "healthy",
  warn: "degraded",
  bad: "failing",
  none: "no traffic",
};

/** Why traffic was or was not secured, as the end of a sentence. */
export const SECURITY_WORDS: Readonly<Record<Security, string>> = {
  mutual_tls: "mutual TLS",
  same_host: "never left its host",
  disabled: "a policy turns mutual TLS off",
  no_identity: "a host has no certificate",
  not_in_mesh: "one end is not in the mesh",
  passthrough: "the destination is not known to the mesh",
  unknown_caller: "the caller is outside of the mesh",
};

/** The kinds of one edge, the most frequent first, in words. */
export function describeSecurity(securities: Readonly<Partial<Record<Security, number>>>): string {
  const kinds = Object.entries(securities)
    .filter(([, count]) => count > 0)
    .sort(([, a], [, b]) => b - a)
    .map(([kind]) => SECURITY_WORDS[kind as Security] ?? kind);
  return kinds.join(", ") || "nothing was sent";
}
