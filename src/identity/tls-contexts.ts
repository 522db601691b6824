import { hkdfSync, X509Certificate } from "node:crypto";
import { createSecureContext, type SecureContext, type SecureContextOptions } from "node:tls";
import type { Clock } from "../core/clock.ts";
import type { Credential, Credentials } from "../core/identity.ts";
import { ClientSessions } from "./client-sessions.ts";
import { type PeerVerdict, PeerVerifier, type VerifiedPeer } from "./peer-verifier.ts";
import { splitPem } from "./pem.ts";
import { sniOf } from "./sni.ts";

export interface TlsContextsDeps {
  /** Time of day: ms since the epoch. */
  readonly clock: Clock;
}

/** How a connection for one identity is answered. */
export interface ServerContext {
  readonly context: SecureContext;
  /** SPIFFE ID that its certificate proves. */
  readonly identity: string;
}

/** One identity of this host; contexts are made when they are first needed. */
interface Held {
  readonly credential: Credential;
  client: SecureContext | null;
  server: ServerContext | null;
}

const TICKET_KEY_BYTES = 48;
/** The most that OpenSSL takes. */
const SESSION_CONTEXT_BYTES = 32;
const NO_ANCHORS: readonly string[] = [];
const MIN_CHAIN = 2;

/**
 * What a worker needs for mutual TLS: a TLS context for each identity of this host, and judgement over peers. TLS 1.3
 * only.
 *
 * Certificates of peers are judged by `verifyPeer`, after every handshake, full or resumed. OpenSSL is given no anchors
 * and judges nothing: of a resumed session it repeats what was true when the session began.
 *
 * All workers of a host open each other's tickets, but only for the identity that they were made for: the session context
 * binds them.
 */
export class TlsContexts {
  /** Sessions to resume as a client. */
  readonly sessions = new ClientSessions();
  readonly #clock: Clock;
  #credentials: Credentials | null = null;
  #verifier = new PeerVerifier(NO_ANCHORS, "");
  #version = 0;
  #byIdentity = new Map<string, Held>();
  #byName = new Map<string, Held>();

  constructor({ clock }: TlsContextsDeps) {
    this.#clock = clock;
  }

  /** Grows with each change of the credentials; 0: there have been none. */
  get version(): number {
    return this.#version;
  }

  /** "" without credentials. */
  get trustDomain(): string {
    return this.#credentials?.trustDomain ?? "";
  }

  /**
   * Takes new credentials; null: there are none. Connections that stand are not touched: ask `stillTrusted`. Throws where
   * an anchor is no certificate, or the ticket key has another length, and leaves all as it was.
   */
  apply(credentials: Credentials | null): void {
    const before = this.#credentials;
    const samePeers = isSameTrust(before, credentials);
    if (!samePeers) {
      this.#verifier = verifierOf(credentials);
      this.sessions.clear();
    }
    const held = new Map<string, Held>();
    for (const credential of credentials?.held ?? []) {
      const known = this.#byIdentity.get(credential.identity);
      const isSame = samePeers && known !== undefined && isSameProof(known.credential, credential);
      if (!isSame) this.sessions.forget(credential.identity);
      held.set(credential.identity, isSame ? known : { credential, client: null, server: null });
    }
    for (const identity of this.#byIdentity.keys()) {
      if (!held.has(identity)) this.sessions.forget(identity);
    }
    this.#byIdentity = held;
    this.#byName = new Map([...held].map(([identity, one]) => [sniOf(identity), one]));
    this.#credentials = credentials;
    this.#version += 1;
  }

  /** For connections that a workload of this host opens; null: it has no certificate. Throws where that is unusable. */
  client(source: string): SecureContext | null {
    const held = this.#byIdentity.get(source);
    if (held === undefined) return null;
    held.client ??= createSecureContext(optionsOf(this.#begin(held)));
    return held.client;
  }

  /** For connections that ask for this server name; null: no identity here has it. Throws like `client`. */
  server(name: string): ServerContext | null {
    return this.#answer(this.#byName.get(name));
  }

  /** For connections that ask for no name, to the address of this identity's workload; as `server`. */
  serverOf(identity: string): ServerContext | null {
    return this.#answer(this.#byIdentity.get(identity));
  }

  /** Stands for the certificate that this identity shows now: another object with the next one. Null: it has none. */
  proofOf(identity: string): object | null {
    return this.#byIdentity.get(identity) ?? null;
  }

  /** Is there a certificate for this identity? */
  holds(identity: string): boolean {
    return this.#byIdentity.has(identity);
  }

  #answer(held: Held | undefined): ServerContext | null {
    if (held === undefined) return null;
    held.server ??= this.#serverOf(held);
    return held.server;
  }

  #serverOf(held: Held): ServerContext {
    const { identity, chain } = this.#begin(held);
    // A ticket keeps the certificate that was shown: with the next one it must end, in every worker alike.
    const secret = this.#credentials?.ticketKeys ?? new Uint8Array();
    const ticketKeys = Buffer.from(hkdfSync("sha256", secret, chain, "tickets", TICKET_KEY_BYTES));
    const sessionIdContext = sniOf(identity).slice(0, SESSION_CONTEXT_BYTES);
    const options = { ...optionsOf(held.credential), ticketKeys, sessionIdContext };
    return { identity, context: createSecureContext(options) };
  }

  /** Peers mostly have our intermediates; those of a resumed session show none. */
  #begin({ credential }: Held): Credential {
    const chain = splitPem("CERTIFICATE", credential.chain);
    if (chain.length >= MIN_CHAIN) {
      this.#verifier.learn(chain.map((pem) => new X509Certificate(pem)));
    }
    return credential;
  }

  /** `presented`: the leaf, then the intermediates that were sent along; a resumed session has the leaf alone. */
  verifyPeer(presented: readonly X509Certificate[]): PeerVerdict {
    return this.#verifier.judge(presented, this.#clock.now());
  }

  /** May a session with this peer be resumed: is it trusted, and valid now? */
  mayResume(peer: VerifiedPeer): boolean {
    return this.#verifier.judge(peer.chain, this.#clock.now()).peer !== undefined;
  }

  /** May a connection with this peer stand? False once its authority is no longer trusted. */
  stillTrusted(peer: VerifiedPeer): boolean {
    return this.#verifier.stillTrusts(peer);
  }
}

function verifierOf(credentials: Credentials | null): PeerVerifier {
  if (credentials === null) return new PeerVerifier(NO_ANCHORS, "");
  const { anchors, trustDomain, ticketKeys } = credentials;
  if (ticketKeys.length !== TICKET_KEY_BYTES) {
    throw new RangeError(`ticketKeys has ${ticketKeys.length} bytes, not ${TICKET_KEY_BYTES}`);
  }
  return new PeerVerifier(anchors, trustDomain);
}

function isSameTrust(one: Credentials | null, other: Credentials | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.trustDomain === other.trustDomain &&
    Buffer.compare(one.ticketKeys, other.ticketKeys) === 0 &&
    one.anchors.length === other.anchors.length &&
    one.anchors.every((pem, at) => pem === other.anchors[at])
  );
}

function isSameProof(one: Credential, other: Credential): boolean {
  return one.chain === other.chain && one.privateKey === other.privateKey;
}

/** AES-128 before AES-256, as BoringSSL has it, and so Envoy and ztunnel: a quarter less work for a strength that nobody reaches. */
const CIPHERS = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";

function optionsOf({ chain, privateKey }: Credential): SecureContextOptions {
  const version = "TLSv1.3";
  return {
    ...{ cert: chain, key: privateKey, ca: [], ciphers: CIPHERS },
    ...{ minVersion: version, maxVersion: version },
  };
}
