import type { Credential } from "../../src/core/identity.ts";
import type { Random } from "../../src/core/random.ts";
import type { Timers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { backoffMs } from "./backoff.ts";
import { checkChain, renewalMs } from "./certificate-facts.ts";
import {
  type CertificateRequest,
  type IssuedCertificates,
  RegistryRefusal,
} from "./identity-client.ts";

/** Identities in one call. */
const BATCH = 100;
/** Time limits are looked at again at least so often: the system's clock may be set. */
const LOOK_MS = 60_000;
/** All certificates of a former issuer are renewed within this time. */
const REISSUE_MS = 1_000;
/** What was refused is asked for again so long after the records changed: the registry may know more by now. */
const RECONSIDER_MS = 1_000;
/** A registry may sign with the authority before for a moment, when another one has changed it. */
const LAGGING_MS = 15_000;

export interface CertificateManagerDeps {
  readonly trustDomain: string;
  readonly fetch: (requests: readonly CertificateRequest[]) => Promise<IssuedCertificates>;
  readonly timers: Timers;
  /** Ms since the epoch. */
  readonly wall: () => number;
  readonly random: Random;
  readonly log: Log;
  /** `credentials()` has changed. */
  readonly onChange: () => void;
}

/** One identity, as operators see it; keys are never shown. */
export interface CertificateStatus {
  /** SPIFFE ID. */
  readonly identity: string;
  /** `overdue`: a renewal failed, and the old certificate is in use. `missing`: there has never been one. */
  readonly state: "valid" | "overdue" | "expired" | "missing";
  /** End of its validity, ms since the epoch. */
  readonly notAfterMs: number | null;
  /** Why there is none, or no newer one; null: nothing is wrong. */
  readonly failure: string | null;
}

/** Attempts by their result, since the start. */
export interface RenewalCounts {
  readonly issued: number;
  readonly failed: number;
  readonly refused: number;
}

interface Entry {
  readonly identity: string;
  held: (Credential & { readonly issuer: string }) | null;
  dueMs: number;
  failures: number;
  failure: string | null;
  /** The registry itself said no to this one. */
  refused: boolean;
  /** A call with others was refused as a whole: the reason may be another one's. */
  alone: boolean;
}

/**
 * Keeps a certificate for each wanted identity: fetched in batches, renewed at half-life with a new key, kept where
 * that fails (ztunnel's rules, src/identity/manager.rs). Keys live in this process only, and no longer than they are
 * wanted.
 */
export class CertificateManager {
  readonly #deps: CertificateManagerDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #counts = { issued: 0, failed: 0, refused: 0 };
  #active = false;
  #fetching = false;
  #isFailing = false;
  /** The authority that signs now; "": not known. */
  #issuer = "";
  #cancelTimer: () => void = () => undefined;

  constructor(deps: CertificateManagerDeps) {
    this.#deps = deps;
  }

  /** From now on the registry may be asked: this host has an identity. */
  start(): void {
    this.#active = true;
    this.#schedule();
  }

  stop(): void {
    this.#active = false;
    this.#cancelTimer();
  }

  /** All identities that this host needs; what is held of others is dropped at once. */
  setWanted(identities: Iterable<string>): void {
    const wanted = new Set(identities);
    let dropped = false;
    for (const [identity, { held }] of this.#entries) {
      if (wanted.has(identity)) continue;
      this.#entries.delete(identity);
      dropped ||= held !== null;
    }
    const dueMs = this.#deps.wall();
    for (const identity of wanted) {
      if (this.#entries.has(identity)) continue;
      const fresh = { held: null, failures: 0, failure: null, refused: false, alone: false };
      this.#entries.set(identity, { identity, dueMs, ...fresh });
    }
    if (dropped) this.#deps.onChange();
    this.#schedule();
  }

  /** The records of the mesh have changed: refusals may be so no longer. */
  reconsider(): void {
    const soonMs = this.#deps.wall() + RECONSIDER_MS;
    let changed = false;
    for (const entry of this.#entries.values()) {
      if (!entry.refused || entry.dueMs <= soonMs) continue;
      entry.dueMs = soonMs;
      changed = true;
    }
    if (changed) this.#schedule();
  }

  /** Another authority signs now: certificates of the former one are renewed. */
  setIssuer(issuer: string): void {
    if (issuer === this.#issuer) return;
    this.#issuer = issuer;
    for (const entry of this.#entries.values()) {
      if (entry.held !== null && entry.held.issuer !== issuer) this.#renewSoon(entry);
    }
    this.#schedule();
  }

  credentials(): Credential[] {
    return [...this.#entries.values()].flatMap(({ held }) => {
      if (held === null) return [];
      const { identity, chain, privateKey, notAfterMs } = held;
      return [{ identity, chain, privateKey, notAfterMs }];
    });
  }

  /** The authorities of what is held; with repetitions. */
  issuers(): string[] {
    return [...this.#entries.values()].flatMap(({ held }) => (held === null ? [] : [held.issuer]));
  }

  status(): CertificateStatus[] {
    const nowMs = this.#deps.wall();
    return [...this.#entries.values()].map(({ identity, held, failure }) => ({
      identity,
      state: stateOf(held?.notAfterMs ?? null, failure, nowMs),
      notAfterMs: held?.notAfterMs ?? null,
      failure,
    }));
  }

  /** Has every identity got its certificate, or been asked for in vain? */
  get isSettled(): boolean {
    return [...this.#entries.values()].every(({ held, failures }) => held !== null || failures > 0);
  }

  counts(): RenewalCounts {
    return { ...this.#counts };
  }

  #schedule(): void {
    this.#cancelTimer();
    if (!this.#active || this.#fetching || this.#entries.size === 0) return;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#entries.values()) nextMs = Math.min(nextMs, dueMs);
    const delayMs = Math.min(LOOK_MS, Math.max(0, nextMs - this.#deps.wall()));
    this.#cancelTimer = this.#deps.timers.after(delayMs, () => void this.#work());
  }

  async #work(): Promise<void> {
    const batch = this.#due();
    if (batch.length > 0) {
      this.#fetching = true;
      await this.#renew(batch);
      this.#fetching = false;
    }
    this.#schedule();
  }

  /** What there is no certificate for comes first. */
  #due(): Entry[] {
    const nowMs = this.#deps.wall();
    const due = [...this.#entries.values()]
      .filter(({ dueMs }) => dueMs <= nowMs)
      .sort((a, b) => Number(a.held !== null) - Number(b.held !== null) || a.dueMs - b.dueMs);
    const [first] = due;
    if (first?.alone === true) return [first];
    return due.filter(({ alone }) => !alone).slice(0, BATCH);
  }

  async #renew(batch: readonly Entry[]): Promise<void> {
    const issuer = this.#issuer;
    const keys = new Map<string, string>();
    let answer: IssuedCertificates;
    try {
      const { makeRequest } = await import("./make-request.ts");
      const requests = batch.map(({ identity }) => {
        const { csr, privateKey } = makeRequest(identity);
        keys.set(identity, privateKey);
        return { identity, csr };
      });
      answer = await this.#deps.fetch(requests);
    } catch (error) {
      this.#failAll(batch, error);
      return;
    }
    this.#recover();
    const answers = new Map(answer.certificates.map((one) => [one.identity, one]));
    let changed = false;
    for (const entry of batch) {
      // It may have been dropped meanwhile, and even be wanted again.
      if (this.#entries.get(entry.identity) !== entry) continue;
      const one = answers.get(entry.identity);
      const key = keys.get(entry.identity);
      if (one === undefined || key === undefined) this.#fail(entry, "the registry left it out");
      else if ("error" in one) this.#refuse(entry, one.error);
      else changed = this.#take(entry, one.chain, key, answer) || changed;
      if (issuer !== this.#issuer && entry.held?.issuer !== this.#issuer) this.#renewSoon(entry);
    }
    if (changed) this.#deps.onChange();
  }

  /** False: what came is not what was asked for. */
  #take(entry: Entry, chain: string, privateKey: string, answer: IssuedCertificates): boolean {
    const { trustDomain, wall, random } = this.#deps;
    const { identity } = entry;
    const { anchors, issuer } = answer;
    const nowMs = wall();
    try {
      const check = { chain, privateKey, anchors, trustDomain, identity, nowMs };
      const { notAfterMs } = checkChain(check);
      entry.held = { identity, chain, privateKey, notAfterMs, issuer };
      entry.dueMs = renewalMs(nowMs, notAfterMs, random);
      const isLagging = this.#issuer !== "" && issuer !== this.#issuer;
      if (isLagging) entry.dueMs = Math.min(entry.dueMs, nowMs + LAGGING_MS);
    } catch (error) {
      this.#fail(entry, error instanceof Error ? error.message : String(error));
      return false;
    }
    Object.assign(entry, { failures: 0, failure: null, refused: false, alone: false });
    this.#counts.issued++;
    return true;
  }

  #failAll(batch: readonly Entry[], error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    const isRefusal = error instanceof RegistryRefusal;
    for (const entry of batch) {
      entry.alone = isRefusal;
      if (isRefusal && batch.length === 1) this.#refuse(entry, reason);
      else this.#pause(entry, reason);
    }
    if (this.#isFailing || isRefusal) return;
    this.#isFailing = true;
    const facts = { identities: batch.length, error };
    this.#deps.log.error("no certificates can be had: those at hand stay in use", facts);
  }

  #recover(): void {
    if (this.#isFailing) this.#deps.log.info("certificates can be had again");
    this.#isFailing = false;
  }

  #refuse(entry: Entry, reason: string): void {
    const { identity } = entry;
    if (!entry.refused) this.#deps.log.warn("a certificate is refused", { identity, reason });
    this.#counts.refused++;
    entry.refused = true;
    this.#delay(entry, reason);
  }

  #fail(entry: Entry, reason: string): void {
    const { identity } = entry;
    if (entry.failures === 0) {
      this.#deps.log.error("a certificate that came is of no use", { identity, reason });
    }
    this.#pause(entry, reason);
  }

  #pause(entry: Entry, reason: string): void {
    this.#counts.failed++;
    entry.refused = false;
    this.#delay(entry, reason);
  }

  #delay(entry: Entry, reason: string): void {
    const { wall, random } = this.#deps;
    entry.failures++;
    entry.failure = reason;
    entry.dueMs = wall() + backoffMs(entry.failures, random);
  }

  #renewSoon(entry: Entry): void {
    const { wall, random } = this.#deps;
    entry.dueMs = Math.min(entry.dueMs, wall() + REISSUE_MS * random());
  }
}

/** State of a certificate that ends at `notAfterMs`; null: there is none. */
export function stateOf(
  notAfterMs: number | null,
  failure: string | null,
  nowMs: number,
): CertificateStatus["state"] {
  if (notAfterMs === null) return "missing";
  if (nowMs > notAfterMs) return "expired";
  return failure === null ? "valid" : "overdue";
}
