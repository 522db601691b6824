import { createHash } from "node:crypto";
import { hostSpiffeId, parseSpiffeId, SYSTEM_NAMESPACE } from "../../core/identity.ts";
import type { TrustBundle } from "../../core/model.ts";
import type { Catalog } from "../catalog.ts";
import type { CertificateAuthority } from "./authority.ts";
import { grantedIdentities } from "./granted-identities.ts";
import type { IssuanceLog, IssuedCertificate } from "./issuance-log.ts";
import type { HostFacts, ReplicaNotice } from "./replica-board.ts";

/** The key of the only record of its kind. */
export const TRUST_KEY = "trust";

export interface RotationEvidenceDeps {
  readonly authority: CertificateAuthority;
  readonly trustDomain: string;
  readonly catalog: Catalog;
  readonly issuance: IssuanceLog;
  /** Time of day, ms since the epoch. */
  readonly wall: () => number;
  /** Names of the hosts whose daemons watch this registry now. */
  connected(): Iterable<string>;
  /** What the other registries of this authority know. */
  others(): readonly ReplicaNotice[];
}

/** Whom the next step waits for. */
export interface AwaitedHost {
  readonly host: string;
  /** Newest revision that it has acknowledged here; null: none since this registry was started. */
  readonly revision: number | null;
  readonly connected: boolean;
}

/**
 * Who has come how far in a change of the authority: what daemons have told this registry, and what the other registries
 * have heard. A daemon that watches two of them for a moment counts as far as the one that it is behind at.
 */
export class RotationEvidence {
  readonly #deps: RotationEvidenceDeps;
  /** The newest revision that the daemon of each host has acknowledged. */
  readonly #acknowledged = new Map<string, number>();
  /** The authorities of the certificates that a host uses, as its daemon says. */
  readonly #issuers = new Map<string, readonly string[]>();
  /** When somebody last came further, ms since the epoch. */
  #progressMs = Number.NEGATIVE_INFINITY;

  constructor(deps: RotationEvidenceDeps) {
    this.#deps = deps;
  }

  /** The revision of this registry's trust record. */
  revision(): number {
    return this.#deps.catalog.record("trust", TRUST_KEY)?.revision ?? 0;
  }

  acknowledge(host: string, revision: number): void {
    const needed = this.revision();
    const before = this.#acknowledged.get(host) ?? -1;
    if (before < needed && revision >= needed) this.progressed();
    this.#acknowledged.set(host, revision);
  }

  /** `issuers`: SHA-256 (hex) of the authorities whose certificates the host uses. */
  uses(host: string, issuers: readonly string[]): void {
    this.#issuers.set(host, issuers);
    this.progressed();
  }

  progressed(): void {
    this.#progressMs = this.#deps.wall();
  }

  progressMs(): number {
    return Math.max(this.#progressMs, this.#deps.issuance.replacedMs());
  }

  /** What this registry tells the others. */
  notice(): ReplicaNotice {
    const connected = new Set(this.#deps.connected());
    const names = new Set([...connected, ...this.#acknowledged.keys(), ...this.#issuers.keys()]);
    const logged = new Set(this.#loggedLeaves().map(({ host }) => host));
    const hosts: Record<string, HostFacts> = {};
    for (const host of [...names].sort()) {
      if (!connected.has(host) && !this.#isKnown(host)) continue;
      hosts[host] = this.#ownFacts(host, connected, logged);
    }
    return { trust: this.#trust(), hosts };
  }

  /** How many other registries have not taken the authority's present state. */
  registriesBehind(): number {
    const trust = this.#trust();
    return this.#deps.others().filter((other) => other.trust !== trust).length;
  }

  /** Hosts that watch, or take mutual TLS, and have not acknowledged the trust record of now. */
  untrusting(): AwaitedHost[] {
    return this.#awaited(({ trusts }) => !trusts);
  }

  /** Hosts that say, or of which it is known, that they use certificates of the authority that goes away. */
  unrenewed(): AwaitedHost[] {
    if (this.#deps.authority.phase() !== "issuing") return [];
    return this.#awaited(({ renewed }) => renewed === false);
  }

  /** Certificates of that authority that this registry issued, to hosts that do not say what they use. */
  oldLeaves(): IssuedCertificate[] {
    const facts = this.#merged();
    return this.#loggedLeaves().filter(({ host }) => facts.get(host)?.renewed !== true);
  }

  #awaited(isAwaited: (facts: HostFacts) => boolean): AwaitedHost[] {
    return [...this.#merged()]
      .filter(([, facts]) => isAwaited(facts))
      .map(([host, { connected }]) => ({
        ...{ host, connected, revision: this.#acknowledged.get(host) ?? null },
      }))
      .sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** Every host that counts, as all registries together know it. */
  #merged(): Map<string, HostFacts> {
    const trust = this.#trust();
    const connected = new Set(this.#deps.connected());
    const logged = new Set(this.#loggedLeaves().map(({ host }) => host));
    const others = this.#deps.others();
    const names = new Set([...connected, ...this.#deps.catalog.all("host").map(({ key }) => key)]);
    for (const { hosts } of others) {
      for (const [host, facts] of Object.entries(hosts)) if (facts.connected) names.add(host);
    }
    const merged = new Map<string, HostFacts>();
    for (const host of names) {
      const all = [this.#ownFacts(host, connected, logged)];
      for (const other of others) {
        const facts = other.hosts[host];
        // Of another state of the authority it says nothing about this one.
        if (facts === undefined) continue;
        all.push(other.trust === trust ? facts : { ...facts, trusts: false, renewed: null });
      }
      merged.set(host, merge(all));
    }
    return merged;
  }

  #ownFacts(host: string, connected: ReadonlySet<string>, logged: ReadonlySet<string>): HostFacts {
    const issuers = this.#issuers.get(host);
    const signer = this.#deps.authority.signer().id;
    const said = issuers?.every((issuer) => issuer === signer) ?? null;
    return {
      connected: connected.has(host),
      trusts: (this.#acknowledged.get(host) ?? -1) >= this.revision(),
      renewed: said ?? (logged.has(host) ? false : null),
    };
  }

  #isKnown(host: string): boolean {
    return this.#deps.catalog.get("host", host) !== undefined;
  }

  /** Of the list of what this registry issued: what is live, of the old authority, and may be in use. */
  #loggedLeaves(): IssuedCertificate[] {
    const { authority, catalog, issuance, trustDomain } = this.#deps;
    const { current, next } = authority.pair();
    if (next === null) return [];
    const connected = new Set(this.#deps.connected());
    const granted = new Map<string, ReadonlySet<string>>();
    return issuance.live().filter(({ issuer, identity, host }) => {
      if (issuer !== current.id || parseSpiffeId(identity)?.namespace === SYSTEM_NAMESPACE) {
        return false;
      }
      if (identity === hostSpiffeId(trustDomain, host)) {
        return connected.has(host) || this.#isKnown(host);
      }
      const known = granted.get(host) ?? grantedIdentities(catalog, trustDomain, host);
      granted.set(host, known);
      return known.has(identity);
    });
  }

  #trust(): string {
    return hashOf(this.#deps.authority.trust());
  }
}

/** Where it is connected now counts; where it is nowhere, what anybody knows. */
function merge(all: readonly HostFacts[]): HostFacts {
  const here = all.filter(({ connected }) => connected);
  const relevant = here.length > 0 ? here : all;
  const renewed = relevant.map((facts) => facts.renewed);
  return {
    connected: here.length > 0,
    trusts: here.length > 0 ? here.every(({ trusts }) => trusts) : all.some(({ trusts }) => trusts),
    renewed: mergeRenewed(renewed, here.length > 0),
  };
}

function mergeRenewed(all: readonly (boolean | null)[], isConnected: boolean): boolean | null {
  const known = all.filter((renewed) => renewed !== null);
  if (known.length === 0) return null;
  return isConnected ? known.every(Boolean) : known.some(Boolean);
}

function hashOf({ anchors, issuer }: TrustBundle): string {
  return createHash("sha256").update(anchors.join("")).update(issuer).digest("hex").slice(0, 16);
}
