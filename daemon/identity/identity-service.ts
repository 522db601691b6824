import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Config } from "../../src/config/schema.ts";
import type { Credentials } from "../../src/core/identity.ts";
import type { Change, TrustBundle } from "../../src/core/model.ts";
import type { Random } from "../../src/core/random.ts";
import type { RegistryTls } from "../../src/registry/registry-tls.ts";
import type { Timers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import { sameCertificates } from "./certificate-facts.ts";
import {
  CertificateManager,
  type CertificateStatus,
  type RenewalCounts,
} from "./certificate-manager.ts";
import { firstAnchors } from "./first-anchors.ts";
import { HostIdentity, type TokenSource } from "./host-identity.ts";
import { IdentityClient } from "./identity-client.ts";
import { IdentityFiles } from "./identity-files.ts";
import { parseJoinToken, readJoinToken } from "./join-token.ts";

/** Changes are put together: workers build TLS contexts of all that they get. */
const GATHER_MS = 50;
/** RFC 5077 leaves it open; Node wants a name, a key for the HMAC and one for AES, of 16 bytes each. */
const TICKET_KEY_BYTES = 48;
/** How long a start waits for the registry: with `identity.mode` "required", and else. */
const PATIENCE_MS = 30_000;
const COURTESY_MS = 2_000;
const LOOK_MS = 10;

export interface IdentityServiceDeps {
  readonly config: Pick<Config, "host" | "dataDir" | "identity" | "mesh" | "registry">;
  /** Where this host takes mutual TLS; null: nowhere. */
  readonly meshPort: number | null;
  /** A one-time token that was made for this start. */
  readonly joinToken?: string;
  readonly timers: Timers;
  /** Ms since the epoch. */
  readonly wall: () => number;
  readonly random: Random;
  readonly log: Log;
  /** Takes all credentials, whole, at most every 50 ms. */
  readonly onCredentials: (credentials: Credentials) => void;
  /** This host has got its first identity: the registry should hear of it. */
  readonly onEnrolled: () => void;
  /** Takes the authorities (SHA-256, hex) of all certificates in use, after the credentials that bring them. */
  readonly onIssuers?: (issuers: readonly string[]) => void;
}

/** How the daemon stands with its certificates: for the metrics and `/config_dump`. */
export interface IdentityState {
  readonly mode: Config["identity"]["mode"];
  readonly trustDomain: string;
  /** Null: identities are off. */
  readonly host: CertificateStatus | null;
  readonly workloads: readonly CertificateStatus[];
  /** How many authorities are trusted. */
  readonly anchors: number;
  readonly renewals: RenewalCounts;
}

/** Everything that the daemon knows of identities, and the only part of it that asks for certificates. */
export class IdentityService {
  readonly #deps: IdentityServiceDeps;
  /** Null: identities are off. */
  readonly #host: HostIdentity | null;
  readonly #certificates: CertificateManager;
  readonly #client: IdentityClient;
  #trust: Omit<TrustBundle, "trustDomain"> | null = null;
  /** The registry's records have told what is trusted, so answers to calls no longer do. */
  #hasRecord = false;
  #ticketKeys = randomBytes(TICKET_KEY_BYTES);
  #hasUpdate = false;
  #wasEnrolled = false;
  #isFresh = true;
  /** What was told last. */
  #issuers = "";
  #cancelTimer: (() => void) | null = null;

  constructor(deps: IdentityServiceDeps) {
    this.#deps = deps;
    const { config, timers, wall, random, log } = deps;
    const { trustDomain, mode } = config.identity;
    this.#client = new IdentityClient({ urls: identityUrls(config.registry), trustDomain });
    const common = { trustDomain, timers, wall, random, log };
    this.#certificates = new CertificateManager({
      ...common,
      fetch: (requests) => this.#client.certificates(requests),
      onChange: () => this.#changed(),
    });
    const files = new IdentityFiles(join(config.dataDir, "identity"));
    const own = {
      ...{ host: config.host, files, client: this.#client, token: tokenSource(deps) },
      firstAnchors: () => firstAnchors(config.identity.anchorsFile, files),
      onChange: (trust: Omit<TrustBundle, "trustDomain">) => this.#takeHost(trust),
    };
    this.#host = mode === "off" ? null : new HostIdentity({ ...common, ...own });
  }

  /**
   * Takes up the identity of an earlier start, and begins to enrol where there is none; waits a little for the outcome.
   * With mode "required" it waits longer, and rejects with the reason where this host gets no identity.
   */
  async start(): Promise<void> {
    const host = this.#host;
    if (host === null) return;
    await host.load();
    host.start();
    const isRequired = this.#deps.config.identity.mode === "required";
    const late = Promise.withResolvers<void>();
    const cancel = this.#deps.timers.after(isRequired ? PATIENCE_MS : COURTESY_MS, () => {
      const reason = host.status().failure ?? "the registry does not answer";
      const seconds = PATIENCE_MS / 1000;
      if (isRequired) late.reject(new Error(`no identity within ${seconds} s: ${reason}`));
      else late.resolve();
    });
    try {
      await Promise.race([isRequired ? host.enrolled : host.attempted, late.promise]);
    } finally {
      cancel();
    }
  }

  /**
   * Resolves when the workloads that the first update names have their certificates, or cannot have them; at the latest
   * after `limitMs`. Before that, other hosts would be turned away.
   */
  async settled(limitMs: number): Promise<void> {
    const { timers } = this.#deps;
    const isWaiting = () =>
      this.tls() !== null && !(this.#hasUpdate && this.#certificates.isSettled);
    for (let waitedMs = 0; isWaiting() && waitedMs < limitMs; waitedMs += LOOK_MS) {
      await new Promise<void>((resolve) => timers.after(LOOK_MS, resolve));
    }
  }

  async stop(): Promise<void> {
    this.#cancelTimer?.();
    this.#certificates.stop();
    this.#host?.stop();
    await this.#client.close();
    await this.#host?.written();
  }

  /** The records of the mesh as the data path has taken them; `wanted`: identities of this host's workloads. */
  onUpdate(changes: readonly Change[], wanted: readonly string[]): void {
    if (this.#host === null) return;
    this.#hasUpdate = true;
    for (const change of changes) {
      if (change.kind === "trust" && change.value !== null) this.#takeRecord(change.value);
    }
    const own = this.#host.status().identity;
    this.#certificates.setWanted(wanted.filter((identity) => identity !== own));
    this.#certificates.reconsider();
  }

  /** The registry does not take this host's certificate, or shows one that this host does not trust. */
  distrusted(): void {
    this.#host?.doubt();
  }

  /** Null: this host has no identity. */
  credentials(): Credentials | null {
    const own = this.#host?.credential() ?? null;
    if (own === null || this.#trust === null) return null;
    return {
      trustDomain: this.#deps.config.identity.trustDomain,
      anchors: this.#trust.anchors,
      ticketKeys: this.#ticketKeys,
      held: [own, ...this.#certificates.credentials()],
    };
  }

  /**
   * Has this host an identity, or will it have one? Then its calls to other hosts wait for certificates, and never leave in
   * the clear, whatever becomes of the registry.
   */
  isExpected(): boolean {
    return this.#host?.isExpected ?? false;
  }

  /** How the registry's TLS port is called; null: anonymously. */
  tls(): RegistryTls | null {
    return this.#host?.tls() ?? null;
  }

  /** Where this host takes mutual TLS, for other hosts; null: it has no identity. */
  mesh(): { readonly address: string; readonly port: number } | null {
    const { config, meshPort } = this.#deps;
    if (this.tls() === null || meshPort === null) return null;
    return { address: config.mesh.address, port: meshPort };
  }

  state(): IdentityState {
    const { mode, trustDomain } = this.#deps.config.identity;
    const own = this.#host?.counts() ?? { issued: 0, failed: 0, refused: 0 };
    const others = this.#certificates.counts();
    return {
      ...{ mode, trustDomain },
      host: this.#host?.status() ?? null,
      workloads: this.#certificates.status(),
      anchors: this.#trust?.anchors.length ?? 0,
      renewals: {
        issued: own.issued + others.issued,
        failed: own.failed + others.failed,
        refused: own.refused + others.refused,
      },
    };
  }

  #takeHost(trust: Omit<TrustBundle, "trustDomain">): void {
    if (!this.#hasRecord) this.#setTrust(trust);
    this.#changed();
    if (this.#wasEnrolled) return;
    this.#wasEnrolled = true;
    this.#certificates.start();
    this.#deps.onEnrolled();
  }

  #takeRecord({ trustDomain, anchors, issuer }: TrustBundle): void {
    const expected = this.#deps.config.identity.trustDomain;
    if (trustDomain !== expected) {
      const facts = { registry: trustDomain, setting: expected };
      this.#deps.log.error("the registry is of another trust domain: its anchors are left", facts);
      return;
    }
    this.#hasRecord = true;
    const changed = this.#setTrust({ anchors, issuer });
    this.#host?.setTrust({ anchors, issuer });
    if (changed) this.#changed();
  }

  /** True: other authorities are trusted than before, or another one signs. */
  #setTrust(trust: Omit<TrustBundle, "trustDomain">): boolean {
    const before = this.#trust;
    this.#trust = trust;
    this.#certificates.setIssuer(trust.issuer);
    const isSame = before !== null && sameCertificates(before.anchors, trust.anchors);
    if (isSame && before.issuer === trust.issuer) return false;
    // Sessions that rest on certificates of another issuer end with these keys: they would end with it.
    this.#ticketKeys = randomBytes(TICKET_KEY_BYTES);
    return true;
  }

  /** The first change is told at once, those that follow it together. */
  #changed(): void {
    this.#isFresh = false;
    if (this.#cancelTimer !== null) return;
    this.#tell();
    this.#cancelTimer = this.#deps.timers.after(GATHER_MS, () => {
      this.#cancelTimer = null;
      if (!this.#isFresh) this.#changed();
    });
  }

  #tell(): void {
    this.#isFresh = true;
    const credentials = this.credentials();
    if (credentials === null) return;
    this.#deps.onCredentials(credentials);
    const all = [this.#host?.issuer() ?? "", ...this.#certificates.issuers()];
    const issuers = [...new Set(all)].filter((issuer) => issuer !== "").sort();
    if (issuers.join() === this.#issuers) return;
    this.#issuers = issuers.join();
    this.#deps.onIssuers?.(issuers);
  }
}

/** Identities are spoken of on TLS only. */
function identityUrls({ urls, tlsUrl }: Config["registry"]): string[] {
  const secure = urls.filter((url) => url.startsWith("https:"));
  return secure.length > 0 || tlsUrl === "" ? secure : [tlsUrl];
}

function tokenSource({ joinToken, config }: IdentityServiceDeps): TokenSource | null {
  const { joinTokenFile } = config.identity;
  if (joinToken !== undefined) {
    const token = parseJoinToken(joinToken);
    return { isFresh: true, read: () => Promise.resolve(token) };
  }
  if (joinTokenFile === "") return null;
  return { isFresh: false, read: () => readJoinToken(joinTokenFile) };
}
