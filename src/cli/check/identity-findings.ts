import * as z from "zod";
import { type Finding, failure, ok, warning } from "./finding.ts";

const certificate = z.looseObject({
  identity: z.string(),
  state: z.enum(["valid", "overdue", "expired", "missing"]),
  notAfterMs: z.number().nullable(),
  failure: z.string().nullable(),
});

/** How a daemon stands with its certificates, as `/config_dump` says it. */
export const identityStanding = z.looseObject({
  mode: z.string(),
  host: certificate.nullable(),
  workloads: z.array(certificate),
});

export type IdentityStanding = z.infer<typeof identityStanding>;
type Certificate = z.infer<typeof certificate>;

/** Identities that one line names. */
const NAMED = 3;
const MINUTE_MS = 60_000;

/** Has the host an identity, do its workloads have theirs, and are renewals on time? */
export function identityFindings(
  { mode, host, workloads }: IdentityStanding,
  nowMs = Date.now(),
): Finding[] {
  if (host === null) return [ok(`no identities: identity.mode is ${mode}`)];
  if (host.state === "missing") {
    return [
      warning(
        `this host has no identity, so it serves without mutual TLS${reasonOf(host)}`,
        "Give it a token of `hostmesh identity token` in identity.joinTokenFile, or set identity.mode to off.",
      ),
    ];
  }
  const all = [host, ...workloads];
  const findings = (["expired", "missing", "overdue"] as const).flatMap((state) => {
    const some = all.filter((one) => one.state === state);
    return some.length === 0 ? [] : [unwell(state, some)];
  });
  return findings.length > 0 ? findings : [ok(describe(host, all, nowMs))];
}

function unwell(state: "expired" | "missing" | "overdue", some: readonly Certificate[]): Finding {
  const names = some.slice(0, NAMED).map(({ identity }) => identity);
  const more = some.length > NAMED ? ` and ${some.length - NAMED} more` : "";
  const text = `${WORDS[state]}: ${names.join(", ")}${more}${reasonOf(some[0])}`;
  const remedy = "Can the registry's TLS port be reached? The daemon's log names the reason.";
  return state === "overdue" ? warning(text, remedy) : failure(text, remedy);
}

const WORDS = {
  expired: "certificates have expired",
  missing: "certificates cannot be had",
  overdue: "certificates are not renewed, though it is time",
} as const;

function describe(host: Certificate, all: readonly Certificate[], nowMs: number): string {
  const first = Math.min(...all.map(({ notAfterMs }) => notAfterMs ?? Number.POSITIVE_INFINITY));
  const minutes = Math.max(0, Math.floor((first - nowMs) / MINUTE_MS));
  const left = minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
  return `is ${host.identity}; ${all.length} certificates valid, the first for ${left} more`;
}

function reasonOf(one: Certificate | undefined): string {
  const reason = one?.failure ?? null;
  return reason === null ? "" : ` (${reason})`;
}
