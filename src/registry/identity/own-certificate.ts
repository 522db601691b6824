import {
  formatSpiffeId,
  SYSTEM_NAMESPACE as namespace,
  REGISTRY_ACCOUNT as serviceAccount,
} from "../../core/identity.ts";
import { generateKeys, privateKeyPem } from "../../identity/x509.ts";
import type { ServerTls } from "../guarded-server.ts";
import type { Log } from "../log.ts";
import type { Timers } from "../timers.ts";
import type { CertificateAuthority } from "./authority.ts";

export interface OwnCertificateOptions {
  readonly authority: CertificateAuthority;
  readonly trustDomain: string;
  readonly lifetimeMs: number;
  readonly wall: () => number;
  readonly timers: Timers;
  readonly log: Log;
}

/** An authority that ends so soon needs a rotation. */
export const EXPIRES_SOON_MS = 30 * 86_400_000;
/** The time of day may jump, as after a machine has slept: it is looked at so often. */
const LOOK_MS = 30_000;

/** The registry's own certificate; its key is never on a disk. Made anew at half of its life. */
export class OwnCertificate {
  readonly #options: OwnCertificateOptions;
  readonly #identity: string;
  #apply: (tls: ServerTls) => void = () => {};
  #dueMs = 0;
  #cancel: () => void = () => {};
  #notAfterMs = 0;
  #current: ServerTls | null = null;
  /** Who signed the present one. */
  #signer = "";

  constructor(options: OwnCertificateOptions) {
    this.#options = options;
    const { trustDomain } = options;
    this.#identity = formatSpiffeId({ trustDomain, namespace, serviceAccount });
  }

  /** When the present one ends, ms since the epoch. */
  notAfterMs(): number {
    return this.#notAfterMs;
  }

  /** Null before the first one. */
  current(): ServerTls | null {
    return this.#current;
  }

  /** The first one. Throws where the authority cannot sign. */
  make(): ServerTls {
    const { authority, lifetimeMs, wall } = this.#options;
    const { privateKey, publicKey } = generateKeys();
    const { chain, certificate } = authority.issueOwn(this.#identity, publicKey, lifetimeMs);
    this.#signer = authority.ownSigner().id;
    this.#notAfterMs = certificate.validToDate.getTime();
    this.#warnOfExpiry();
    this.#dueMs = wall() + (this.#notAfterMs - wall()) / 2;
    this.#current = { cert: chain, key: privateKeyPem(privateKey) };
    return this.#current;
  }

  /** Renews it from now on, and hands each over. */
  keep(apply: (tls: ServerTls) => void): void {
    this.#apply = apply;
    this.#wait();
  }

  /** A new one at once, as after a change of the authority. A failure is reported, and the old one stays. */
  renew(): void {
    const { log, wall, lifetimeMs } = this.#options;
    try {
      this.#apply(this.make());
      log.debug("the registry has a new certificate", { notAfter: new Date(this.#notAfterMs) });
    } catch (error) {
      this.#dueMs = wall() + Math.min(LOOK_MS, lifetimeMs / 2);
      const notAfter = new Date(this.#notAfterMs);
      log.error("the registry's own certificate could not be renewed", { notAfter, error });
    }
  }

  /** A new one where another authority signs by now. */
  renewIfReplaced(): void {
    if (this.#options.authority.ownSigner().id !== this.#signer) this.renew();
  }

  close(): void {
    this.#cancel();
  }

  /** At the start, and whenever this certificate is made anew: often enough, and not too often. */
  #warnOfExpiry(): void {
    const { authority, wall, log } = this.#options;
    const { notAfterMs } = authority.signer();
    if (notAfterMs - wall() >= EXPIRES_SOON_MS) return;
    const facts = { notAfter: new Date(notAfterMs), remedy: "hostmesh identity rotate-ca" };
    log.warn("the certificate authority expires soon", facts);
  }

  #wait(): void {
    const { timers, wall } = this.#options;
    const delayMs = Math.max(0, Math.min(LOOK_MS, this.#dueMs - wall()));
    this.#cancel = timers.after(delayMs, () => {
      if (wall() >= this.#dueMs) this.renew();
      this.#wait();
    });
  }
}
