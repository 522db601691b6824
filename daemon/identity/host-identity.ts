import { type Credential, hostSpiffeId } from "../../src/core/identity.ts";
import type { TrustBundle } from "../../src/core/model.ts";
import type { Random } from "../../src/core/random.ts";
import type { RegistryTls } from "../../src/registry/registry-tls.ts";
import type { Timers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { backoffMs } from "./backoff.ts";
import {
  checkChain,
  renewalMs,
  sameCertificates,
  sha256OfCertificate,
} from "./certificate-facts.ts";
import { type CertificateStatus, stateOf } from "./certificate-manager.ts";
import { AnchorsMissing } from "./first-anchors.ts";
import { type IdentityClient, type IssuedCertificate, RegistryRefusal } from "./identity-client.ts";
import type { IdentityFiles, StoredIdentity } from "./identity-files.ts";
import type { JoinToken } from "./join-token.ts";

/** Time limits are looked at again at least so often: the system's clock may be set. */
const LOOK_MS = 60_000;
const REISSUE_MS = 1_000;
/** A registry may sign with the authority before for a moment, when another one has changed it. */
const LAGGING_MS = 15_000;
/** A file with the registry's anchors that is not there yet is looked for again after so long, at most. */
const ANCHORS_MS = 2_000;
/** A certificate that is refused is asked for anew at most so often. */
const DOUBT_MS = 30_000;

/** Where a join token comes from. */
export interface TokenSource {
  /** Null: there is none now. */
  readonly read: () => Promise<JoinToken | null>;
  /** Made for this very start: what is stored of another authority is then out of date. */
  readonly isFresh: boolean;
}

export interface HostIdentityDeps {
  readonly host: string;
  readonly trustDomain: string;
  readonly files: Pick<IdentityFiles, "load" | "anchors" | "save" | "saveAnchors">;
  readonly client: Pick<IdentityClient, "enrol" | "renewHost" | "setTls">;
  /** Null: none is configured, and none will come. */
  readonly token: TokenSource | null;
  /** What the registry is known by at first contact, where the token does not tell. */
  readonly firstAnchors: () => Promise<readonly string[]>;
  readonly timers: Timers;
  /** Ms since the epoch. */
  readonly wall: () => number;
  readonly random: Random;
  readonly log: Log;
  /** There is a certificate, or a newer one; `trust` is what came with it. */
  readonly onChange: (trust: Omit<TrustBundle, "trustDomain">) => void;
}

interface Held {
  readonly credential: Credential;
  readonly anchors: readonly string[];
  readonly issuer: string;
}

/**
 * The identity of this host: that of an earlier start, or one that a join token gets. It is renewed at half-life with a
 * new key, and kept in files, as the join token serves only once.
 */
export class HostIdentity {
  readonly #deps: HostIdentityDeps;
  readonly #identity: string;
  readonly #first = Promise.withResolvers<void>();
  readonly #attempted = Promise.withResolvers<void>();
  readonly #counts = { issued: 0, failed: 0, refused: 0 };
  #held: Held | null = null;
  #dueMs = 0;
  #issuer = "";
  #doubtedMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #failure: string | null = null;
  /** A one-time token that was refused, or has served. */
  #spent = "";
  #busy = false;
  #stopped = false;
  #cancelTimer: () => void = () => undefined;
  /** One write after another; ends with the last that was begun. */
  #writing: Promise<void> = Promise.resolve();

  constructor(deps: HostIdentityDeps) {
    this.#deps = deps;
    this.#identity = hostSpiffeId(deps.trustDomain, deps.host);
    // Whether anybody waits for it, is not known here.
    this.#first.promise.catch(() => undefined);
  }

  /** Resolves with the first certificate; rejects where the registry refused, or there is nothing to ask with. */
  get enrolled(): Promise<void> {
    return this.#first.promise;
  }

  /** Resolves when it is known whether this host has an identity for now: it has one, cannot ask, or has asked. */
  get attempted(): Promise<void> {
    return this.#attempted.promise;
  }

  /** The certificate of an earlier start, if it is still of use. */
  async load(): Promise<void> {
    const { files, log } = this.#deps;
    try {
      const loaded = await files.load();
      if (loaded === null || (await this.#isOutdated(loaded.identity))) return;
      this.#restore(loaded.identity);
      if (!loaded.exposed) return;
      log.warn("the host's key could be read by others: its file is closed, and a new key is due");
      this.#dueMs = 0;
    } catch (error) {
      log.warn("the stored identity of this host is of no use", { error });
    }
  }

  /** Enrols where that is needed, and renews from now on. */
  start(): void {
    const { token, log } = this.#deps;
    if (this.#held !== null || token === null) this.#attempted.resolve();
    if (this.#held === null && token === null) {
      this.#failure = "neither a certificate of an earlier start nor a join token";
      this.#first.reject(new Error(`this host has no identity: ${this.#failure}`));
      log.warn("no identities: this host serves without mutual TLS", { reason: this.#failure });
      return;
    }
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer();
  }

  /** The authorities that are trusted now, and which of them signs. */
  setTrust({ anchors, issuer }: Omit<TrustBundle, "trustDomain">): void {
    const { wall, random } = this.#deps;
    this.#issuer = issuer;
    const held = this.#held;
    if (held === null) return;
    if (!sameCertificates(anchors, held.anchors)) {
      this.#held = { ...held, anchors };
      this.#useForCalls();
      this.#keep("the anchors", (files) => files.saveAnchors(anchors));
    }
    if (held.issuer === issuer) return;
    this.#dueMs = Math.min(this.#dueMs, wall() + REISSUE_MS * random());
    this.#schedule();
  }

  /**
   * The registry does not take this host's certificate, or shows one that this host does not trust: another is asked for
   * before its time. Where that fails too, a token that counts more than once proves this host again.
   */
  doubt(): void {
    const nowMs = this.#deps.wall();
    if (this.#held === null || nowMs < this.#doubtedMs + DOUBT_MS) return;
    this.#doubtedMs = nowMs;
    this.#dueMs = Math.min(this.#dueMs, nowMs);
    this.#schedule();
  }

  /** The authority of the present certificate, SHA-256 (hex); null: there is none. */
  issuer(): string | null {
    return this.#held?.issuer ?? null;
  }

  /** Has this host a certificate, or something to ask for one with? */
  get isExpected(): boolean {
    return this.#held !== null || this.#deps.token !== null;
  }

  credential(): Credential | null {
    return this.#held?.credential ?? null;
  }

  /** How the registry's TLS port is called in this host's name. */
  tls(): RegistryTls | null {
    if (this.#held === null) return null;
    const { credential, anchors } = this.#held;
    return { trustDomain: this.#deps.trustDomain, anchors, credential };
  }

  status(): CertificateStatus {
    const notAfterMs = this.#held?.credential.notAfterMs ?? null;
    const state = stateOf(notAfterMs, this.#failure, this.#deps.wall());
    return { identity: this.#identity, state, notAfterMs, failure: this.#failure };
  }

  counts(): { readonly issued: number; readonly failed: number; readonly refused: number } {
    return { ...this.#counts };
  }

  /** A registry that was set up anew has another root, and hands out a token for it. */
  async #isOutdated({ anchors }: StoredIdentity): Promise<boolean> {
    const { token, log } = this.#deps;
    const fresh = token?.isFresh === true ? await token.read() : null;
    if (fresh?.kind !== "one-time") return false;
    if (anchors.some((anchor) => sha256OfCertificate(anchor) === fresh.anchorHash)) return false;
    log.info("the stored identity of this host is of another registry");
    return true;
  }

  #restore({ chain, privateKey, anchors }: StoredIdentity): void {
    const { trustDomain, wall, random } = this.#deps;
    const identity = this.#identity;
    const nowMs = wall();
    const facts = checkChain({ chain, privateKey, anchors, trustDomain, identity, nowMs });
    const { notBeforeMs, notAfterMs, issuer } = facts;
    const credential = { identity, chain, privateKey, notAfterMs };
    this.#dueMs = renewalMs(notBeforeMs, notAfterMs, random);
    this.#hold({ credential, anchors, issuer });
  }

  #hold(held: Held): void {
    this.#held = held;
    this.#useForCalls();
    this.#first.resolve();
    this.#deps.onChange({ anchors: held.anchors, issuer: held.issuer });
  }

  #useForCalls(): void {
    const tls = this.tls();
    if (tls !== null) this.#deps.client.setTls(tls);
  }

  #schedule(): void {
    this.#cancelTimer();
    if (this.#busy || this.#stopped) return;
    const { timers, wall } = this.#deps;
    const delayMs = Math.min(LOOK_MS, Math.max(0, this.#dueMs - wall()));
    this.#cancelTimer = timers.after(delayMs, () => void this.#work());
  }

  async #work(): Promise<void> {
    const { wall, random, log } = this.#deps;
    if (this.#dueMs > wall()) {
      this.#schedule();
      return;
    }
    this.#busy = true;
    const issuer = this.#issuer;
    try {
      await this.#obtain();
      if (this.#failures > 0) log.info("the certificate of this host is renewed again");
      this.#failures = 0;
      this.#failure = null;
      const changed = issuer !== this.#issuer && this.#held?.issuer !== this.#issuer;
      if (changed) this.#dueMs = wall() + REISSUE_MS * random();
    } catch (error) {
      this.#fail(error);
    }
    this.#busy = false;
    this.#attempted.resolve();
    this.#schedule();
  }

  async #obtain(): Promise<void> {
    const { trustDomain, wall, random } = this.#deps;
    const { makeRequest } = await import("./make-request.ts");
    const { csr, privateKey } = makeRequest(this.#identity);
    const held = this.#held;
    const isUsable = held !== null && wall() <= held.credential.notAfterMs;
    const issued = isUsable ? await this.#renew(csr) : await this.#enrol(csr);
    if (this.#stopped) return;
    const { chain, anchors, issuer } = issued;
    const identity = this.#identity;
    const nowMs = wall();
    const facts = checkChain({ chain, privateKey, anchors, trustDomain, identity, nowMs });
    const { notAfterMs } = facts;
    this.#counts.issued++;
    this.#dueMs = renewalMs(nowMs, notAfterMs, random);
    const isLagging = this.#issuer !== "" && issuer !== this.#issuer;
    if (isLagging) this.#dueMs = Math.min(this.#dueMs, nowMs + LAGGING_MS);
    this.#hold({ credential: { identity, chain, privateKey, notAfterMs }, anchors, issuer });
    this.#keep("the identity", (files) => files.save({ chain, privateKey, anchors }));
  }

  async #renew(csr: string): Promise<IssuedCertificate> {
    const { client, token: source, log } = this.#deps;
    try {
      return await client.renewHost(csr);
    } catch (error) {
      const token = (await source?.read().catch(() => null)) ?? null;
      if (token?.kind !== "service-account") throw error;
      log.debug("the certificate of this host is not renewed: it enrols again", { error });
      return this.#enrol(csr);
    }
  }

  async #enrol(csr: string): Promise<IssuedCertificate> {
    const { token: source, client, host, log } = this.#deps;
    const token = (await source?.read()) ?? null;
    if (token === null) throw new Error("there is no join token");
    if (token.text === this.#spent) throw new RegistryRefusal("the join token has been used");
    const anchors = token.kind === "one-time" ? [] : await this.#deps.firstAnchors();
    try {
      const issued = await client.enrol(token, anchors, { host, csr });
      if (token.kind === "one-time") this.#spent = token.text;
      log.info("this host has enrolled", { identity: this.#identity });
      return issued;
    } catch (error) {
      if (error instanceof RegistryRefusal && token.kind === "one-time") this.#spent = token.text;
      throw error;
    }
  }

  #fail(error: unknown): void {
    const { wall, random, log } = this.#deps;
    const isRefusal = error instanceof RegistryRefusal;
    if (isRefusal) this.#counts.refused++;
    else this.#counts.failed++;
    if (isRefusal && this.#held === null) this.#first.reject(error);
    this.#failures++;
    this.#failure = error instanceof Error ? error.message : String(error);
    const pauseMs = backoffMs(this.#failures, random);
    const isEarly = error instanceof AnchorsMissing;
    this.#dueMs = wall() + (isEarly ? Math.min(ANCHORS_MS, pauseMs) : pauseMs);
    if (this.#failures > 1) return;
    const what =
      this.#held === null
        ? "this host cannot enrol"
        : "the certificate of this host is not renewed";
    log.error(what, { error });
  }

  #keep(what: string, write: (files: HostIdentityDeps["files"]) => Promise<void>): void {
    const { files, log } = this.#deps;
    this.#writing = this.#writing
      .then(() => write(files))
      .catch((error: unknown) => {
        log.error(`${what} cannot be kept: the next start needs a new join token`, { error });
      });
  }

  /** Resolves when everything is on the disk. */
  async written(): Promise<void> {
    await this.#writing;
  }
}
