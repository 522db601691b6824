import { networkInterfaces } from "node:os";
import type { Config } from "../src/config/schema.ts";
import type { IdentityOptions } from "../src/registry/identity/open-identity.ts";

/** What a registry needs to be the authority of its mesh; null where identities are switched off. */
export function registryIdentity({ identity, registry }: Config): IdentityOptions | null {
  if (identity.mode === "off") return null;
  const { tlsBind, tlsPort, caFile, caKeyFile, leafLifetimeMs, hostLifetimeMs } = registry;
  return {
    ...{ tlsBind, tlsPort, caFile, caKeyFile, leafLifetimeMs, hostLifetimeMs },
    trustDomain: identity.trustDomain,
    hostsRegister: registry.hostsRegister === "own",
    isRequired: identity.mode === "required",
    hostAddress: outsideAddress(tlsBind),
  };
}

/** The address that others reach this host at. */
export function outsideAddress(bind: string): string {
  if (bind !== "0.0.0.0" && bind !== "::") return bind;
  const outside = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ internal, family }) => !internal && family === "IPv4");
  return outside?.address ?? "127.0.0.1";
}
