import { networkInterfaces } from "node:os";
import type { Config } from "../src/config/schema.ts";
import { KubernetesTokenReview } from "../src/registry/identity/kubernetes-token-review.ts";
import type { IdentityOptions } from "../src/registry/identity/open-identity.ts";
import type { TokenReviewRule } from "../src/registry/identity/token-review.ts";

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
    replicaAddress: registry.replicaAddress,
    ...tokenReview(registry),
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

/** Service-account tokens are accepted where there is an API server to judge them. */
function tokenReview(registry: Config["registry"]): { tokenReview?: TokenReviewRule } {
  const { tokenReviewUrl: apiUrl, tokenReviewAudience: audience, tokenReviewAccount } = registry;
  if (apiUrl === "") return {};
  const { tokenReviewCaFile: caFile, tokenReviewTokenFile: tokenFile } = registry;
  const [namespace = "", serviceAccount = ""] = tokenReviewAccount.split("/");
  const reviewer = new KubernetesTokenReview({ apiUrl, caFile, tokenFile });
  return { tokenReview: { reviewer, audience, namespace, serviceAccount } };
}
