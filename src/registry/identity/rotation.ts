import type { TrustBundle } from "../../core/model.ts";
import { RegistryError } from "../registry-error.ts";
import type { Writer } from "../writer.ts";
import type { CertificateAuthority } from "./authority.ts";
import type { IssuedCertificate } from "./issuance-log.ts";
import type { JoinTokens } from "./join-tokens.ts";
import type { OwnCertificate } from "./own-certificate.ts";
import { type RotationEvidence, TRUST_KEY } from "./rotation-evidence.ts";
import type { Signer } from "./signer.ts";

export const ROTATION_STEPS = ["begin", "issue", "finish"] as const;
export type RotationStep = (typeof ROTATION_STEPS)[number];

/** From a daemon's acknowledgement, or its new certificate, until all its workers go by it. */
const SETTLE_MS = 1_000;
/** So many of those who are waited for are named. */
const MAX_NAMED = 100;

export interface RotationDeps {
  readonly authority: CertificateAuthority;
  readonly trustDomain: string;
  readonly writer: Writer;
  readonly tokens: JoinTokens;
  readonly own: OwnCertificate;
  readonly evidence: RotationEvidence;
  /** Told what the mesh trusts, each time that daemons are. */
  readonly published: (trust: TrustBundle) => void;
  /** Time of day, ms since the epoch. */
  readonly wall: () => number;
}

/**
 * Replaces the certificate authority without a failed handshake: everybody trusts the new root before it signs, and
 * nobody shows a certificate of the old one any more before that is taken away. Every step is stored before daemons are told,
 * and a restart goes on where it was. Of several registries any may be asked for the next step: what is stored is compared
 * and swapped, so that one of them takes it, and all see the same evidence.
 */
export class Rotation {
  readonly #deps: RotationDeps;

  constructor(deps: RotationDeps) {
    this.#deps = deps;
  }

  /** Tells daemons what the file says; needed at the start too, after a crash between the two. */
  async publish(): Promise<void> {
    const { authority, writer, published } = this.#deps;
    const trust = authority.trust();
    await writer.run((draft) => draft.put("trust", TRUST_KEY, trust));
    published(trust);
  }

  /** Another registry has taken a step. */
  async follow(): Promise<void> {
    const { own } = this.#deps;
    own.renewIfReplaced();
    await this.publish();
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
    const { authority, trustDomain, evidence } = this.#deps;
    const { current, next } = authority.pair();
    const untrusting = evidence.untrusting();
    const named = new Set(untrusting.map(({ host }) => host));
    const hosts = [...untrusting, ...evidence.unrenewed().filter(({ host }) => !named.has(host))];
    const leaves = evidence.oldLeaves();
    return {
      phase: authority.phase(),
      trustDomain,
      revision: evidence.revision(),
      current: describe(current),
      next: next === null ? null : describe(next),
      awaitedHosts: hosts.slice(0, MAX_NAMED),
      awaitedHostsTotal: hosts.length,
      oldCertificates: leaves.slice(0, MAX_NAMED).map(({ identity, host, notAfterMs }) => ({
        ...{ identity, host, notAfterMs },
      })),
      oldCertificatesTotal: leaves.length,
      registriesBehind: evidence.registriesBehind(),
      settleMs: this.#settleMs(),
    };
  }

  #refuseEarly(step: "issue" | "finish"): void {
    const { authority, evidence } = this.#deps;
    // The wrong phase has its own words, which come from the authority.
    if (authority.phase() !== (step === "issue" ? "begun" : "issuing")) return;
    const isLast = step === "finish";
    const hosts = evidence.untrusting().map(({ host }) => host);
    const leaves = isLast ? evidence.oldLeaves() : [];
    const unnamed = new Set(evidence.unrenewed().map(({ host }) => host));
    for (const { host } of leaves) unnamed.delete(host);
    const behind = evidence.registriesBehind();
    const reasons = [
      ...(hosts.length > 0 ? [`not acknowledged by ${some(hosts)}`] : []),
      ...(leaves.length > 0
        ? [`the old authority's certificates are in use: ${some(leaves.map(nameOf))}`]
        : []),
      ...(isLast && unnamed.size > 0
        ? [`the old authority's certificates are in use on ${some([...unnamed])}`]
        : []),
      ...(behind > 0 ? [`not taken over by ${behind} other registries`] : []),
      ...(this.#settleMs() > 0 ? ["a host has changed something within the last second"] : []),
    ];
    if (reasons.length === 0) return;
    throw new RegistryError(409, `too early to ${step}: ${reasons.join("; ")}`);
  }

  /**
   * How long it still takes until the newest progress has reached every worker, and every registry the authority's state;
   * 0 without a rotation.
   */
  #settleMs(): number {
    const { authority, evidence, wall } = this.#deps;
    if (authority.phase() === "steady") return 0;
    if (evidence.registriesBehind() > 0) return SETTLE_MS;
    return Math.max(0, Math.min(SETTLE_MS, evidence.progressMs() + SETTLE_MS - wall()));
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
