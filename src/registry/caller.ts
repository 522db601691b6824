import { RegistryError } from "./registry-error.ts";

/**
 * Who makes a request. `operator`: whoever reaches the plain port. `host`: the daemon that holds the host's
 * certificate. `registry`: another one of the same mesh. `anonymous`: on TLS without one that is trusted.
 */
export type Caller =
  | { readonly role: "operator" }
  | { readonly role: "host"; readonly host: string }
  | { readonly role: "registry" }
  | {
      readonly role: "anonymous";
      /** Why its certificate is not trusted; null: it showed none. */
      readonly reason: string | null;
    };

export const OPERATOR: Caller = { role: "operator" };

/** Operators may do everything; a route says who else may. */
export type AllowedRole = "host" | "registry" | "anonymous";

/** Throws 401 for who could show a certificate, 403 for who has shown one that does not suffice. */
export function refuseOthers(caller: Caller, allow: readonly AllowedRole[]): void {
  if (caller.role === "operator" || allow.includes(caller.role)) return;
  if (caller.role !== "anonymous") {
    throw new RegistryError(403, "this is for operators: it is served on the plain port only");
  }
  const reason = caller.reason ?? "none was shown";
  throw new RegistryError(401, `a trusted certificate of a host is needed: ${reason}`);
}

/** Throws 403 where a host speaks for another. */
export function assertOwnHost(caller: Caller, host: string, path?: string): void {
  if (caller.role === "operator") return;
  if (caller.role === "host" && caller.host === host) return;
  const own = caller.role === "host" ? caller.host : "nobody";
  throw new RegistryError(403, `${own} may not speak for host ${host}`, path);
}
