import {
  covers,
  type PeerPolicy,
  type Policies,
  type Policy,
  type PolicyTarget,
} from "../src/core/policy.ts";

/** A JWKS document that some policy needs, and the time limit of its fetch in ms. */
export interface JwksSource {
  readonly uri: string;
  readonly timeoutMs: number;
}

/** All policies of the mesh, as the main thread keeps them for the workers. */
export class PolicyBook {
  readonly #byKey = new Map<string, Policy>();
  #jwks: Policies["jwks"] = {};
  #isDirty = false;

  set(key: string, value: Policy | null): void {
    if (value === null) this.#byKey.delete(key);
    else this.#byKey.set(key, value);
    this.#isDirty = true;
  }

  setJwks(jwks: Policies["jwks"]): void {
    this.#jwks = jwks;
    this.#isDirty = true;
  }

  get(key: string): Policy | undefined {
    return this.#byKey.get(key);
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  all(): Policies {
    return { byKey: Object.fromEntries(this.#byKey), jwks: this.#jwks };
  }

  /** All policies, if any changed since the last call. */
  flush(): Policies | null {
    if (!this.#isDirty) return null;
    this.#isDirty = false;
    return this.all();
  }

  peers(): PeerPolicy[] {
    return [...this.#byKey.values()].filter((policy) => policy.kind === "peer");
  }

  /** Does any policy concern who reaches the workload, so that plaintext to it must be looked at? */
  guards(target: PolicyTarget): boolean {
    for (const policy of this.#byKey.values()) {
      if (!covers(policy.scope, target)) continue;
      if (policy.kind !== "peer" || isStrict(policy)) return true;
    }
    return false;
  }

  jwksWanted(): readonly JwksSource[] {
    const wanted = new Map<string, number>();
    for (const policy of this.#byKey.values()) {
      if (policy.kind !== "request-authentication") continue;
      for (const { jwks, jwksUri, timeoutMs } of policy.rules) {
        if (jwks !== null || jwksUri === "") continue;
        wanted.set(jwksUri, Math.max(timeoutMs, wanted.get(jwksUri) ?? 0));
      }
    }
    return [...wanted].map(([uri, timeoutMs]) => ({ uri, timeoutMs }));
  }
}

function isStrict({ mode, ports }: PeerPolicy): boolean {
  return mode === "strict" || Object.values(ports).includes("strict");
}
