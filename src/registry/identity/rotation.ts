import { hostSpiffeId, parseSpiffeId, SYSTEM_NAMESPACE } from "../../core/identity.ts";
import type { Catalog } from "../catalog.ts";
import { RegistryError } from "../registry-error.ts";
import type { Writer } from "../writer.ts";
import type { CertificateAuthority } from "./authority.ts";
import { grantedIdentities } from "./granted-identities.ts";
import type { IssuanceLog, IssuedCertificate } from "./issuance-log.ts";
import type { JoinTokens } from "./join-tokens.ts";
import type { OwnCertificate } from "./own-certificate.ts";
import type { Signer } from "./signer.ts";

export const ROTATION_STEPS = ["begin", "issue", "finish"] as const;
export type RotationStep = (typeof ROTATION_STEPS)[number];

/** The key of the only record of its kind. */
const TRUST_KEY = "trust";
/** From a daemon's acknowledgement, or its new certificate, until all its workers go by it. */
const SETTLE_MS = 1_000;
/** So many of those who are waited for are named. */
const MAX_NAMED = 100;

export interface RotationDeps {
  readonly authority: CertificateAuthority;
  readonly trustDomain: string;
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly issuance: IssuanceLog;
  readonly tokens: JoinTokens;
  readonly own: OwnCertificate;
  /** Time of day, ms since the epoch. */
  readonly wall: () => number;
  /** Names of the hosts whose daemons watch now. */
  connected(): Iterable<string>;
}

/** Whom the next step waits for. */
export interface AwaitedHost {
  readonly host: string;
  /** Newest revision that it has acknowledged; null: none since the registry was started. */
  readonly revision: number | null;
  readonly connected: boolean;
}

/**
 * Replaces the certificate authority without a failed handshake: everybody trusts the new root before it signs, and
 * nobody shows a certificate of the old one any more before that is taken away. Every step is on the disk before daemons
 * are told, and a restart goes on where it was.
 */
export class Rotation {
  readonly #deps: RotationDeps;
  /** The newest revision that the daemon of each host has acknowledged. */
  readonly #acknowledged = new Map<string, number>();
  /** When a host last came to trust what the trust record says. */
  #readyMs = Number.NEGATIVE_INFINITY;

  constructor(deps: RotationDeps) {
    this.#deps = deps;
  }

  /** Tells daemons what the file says; needed at the start too, after a crash between the two. */
  async publish(): Promise<void> {
    const { authority, writer } = this.#deps;
    await writer.run((draft) => draft.put("trust", TRUST_KEY, authority.trust()));
  }

  acknowledge(host: string, revision: number): void {
    const needed = this.#revision();
    const before = this.#acknowledged.get(host) ?? -1;
    if (before < needed && revision >= needed) this.#readyMs = this.#deps.wall();
    this.#acknowledged.set(host, revision);
  }

  /**
   * Takes one step. Rejects with 409 in the wrong phase and, unless forced, while daemons have not taken the last step
   * or certificates of the old authority are in use.
   */
  async step(step: RotationStep, force: boolean): Promise<{ readonly voidedTokens: number }> {
    const { authority, tokens, own } = this.#deps;
    if (step === "begin") {
      await authority.begin();
      await this.publish();
      return { voidedTokens: 0 };
    }
    if (!force) this.#refuseEarly(step);
    if (step === "issue") {
      await authority.switchIssuer();
      await this.publish();
      return { voidedTokens: 0 };
    }
    const { current: old, next } = authority.pair();
    await authority.finish();
    own.renew();
    await this.publish();
    const isSameRoot = next?.anchorId === old.anchorId;
    return { voidedTokens: isSameRoot ? 0 : await tokens.revoke(old.anchorId) };
  }

  state() {
    const { authority, trustDomain } = this.#deps;
    const { current, next } = authority.pair();
    const hosts = this.#awaitedHosts();
    const leaves = this.#oldLeaves();
    return {
      phase: authority.phase(),
      trustDomain,
      revision: this.#revision(),
      current: describe(current),
      next: next === null ? null : describe(next),
      awaitedHosts: hosts.slice(0, MAX_NAMED),
      awaitedHostsTotal: hosts.length,
      oldCertificates: leaves.slice(0, MAX_NAMED).map(({ identity, host, notAfterMs }) => ({
        ...{ identity, host, notAfterMs },
      })),
      oldCertificatesTotal: leaves.length,
      settleMs: this.#settleMs(),
    };
  }

  #refuseEarly(step: "issue" | "finish"): void {
    const { authority } = this.#deps;
    // The wrong phase has its own words, which come from the authority.
    if (authority.phase() !== (step === "issue" ? "begun" : "issuing")) return;
    const hosts = this.#awaitedHosts().map(({ host }) => host);
    const leaves = step === "issue" ? [] : this.#oldLeaves();
    const reasons = [
      ...(hosts.length > 0 ? [`not acknowledged by ${some(hosts)}`] : []),
      ...(leaves.length > 0
        ? [`the old authority's certificates are in use: ${some(leaves.map(nameOf))}`]
        : []),
      ...(this.#settleMs() > 0 ? ["a host has changed something within the last second"] : []),
    ];
    if (reasons.length === 0) return;
    throw new RegistryError(409, `too early to ${step}: ${reasons.join("; ")}`);
  }

  #revision(): number {
    return this.#deps.catalog.record("trust", TRUST_KEY)?.revision ?? 0;
  }

  /** How long it still takes until the newest progress has reached every worker; 0 without a rotation. */
  #settleMs(): number {
    const { authority, issuance, wall } = this.#deps;
    if (authority.phase() === "steady") return 0;
    const lastMs = Math.max(this.#readyMs, issuance.replacedMs());
    return Math.max(0, Math.min(SETTLE_MS, lastMs + SETTLE_MS - wall()));
  }

  /** Hosts that watch, or take mutual TLS, and have not acknowledged the trust record of now. */
  #awaitedHosts(): AwaitedHost[] {
    const { catalog } = this.#deps;
    const needed = this.#revision();
    const connected = new Set(this.#deps.connected());
    const all = new Set([...connected, ...catalog.all("host").map(({ key }) => key)]);
    return [...all]
      .map((host) => ({
        host,
        revision: this.#acknowledged.get(host) ?? null,
        connected: connected.has(host),
      }))
      .filter(({ revision }) => revision === null || revision < needed)
      .sort((a, b) => (a.host < b.host ? -1 : 1));
  }

  /** Certificates of the authority that goes away, which their hosts have not replaced and may still use. */
  #oldLeaves(): IssuedCertificate[] {
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
        return connected.has(host) || catalog.get("host", host) !== undefined;
      }
      const known = granted.get(host) ?? grantedIdentities(catalog, trustDomain, host);
      granted.set(host, known);
      return known.has(identity);
    });
  }
}

function describe({ id, anchorId, notAfterMs, anchorCertificate }: Signer) {
  return { id, anchorId, notAfterMs, anchor: anchorCertificate.toString() };
}

function nameOf({ identity, host }: IssuedCertificate): string {
  return `${identity} on ${host}`;
}

function some(names: readonly string[]): string {
  const named = names.slice(0, 5).join(", ");
  return names.length > 5 ? `${named} and ${names.length - 5} more` : named;
}
