import type { X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import {
  HOST_NAMESPACE,
  parseSpiffeId,
  REGISTRY_ACCOUNT,
  SYSTEM_NAMESPACE,
} from "../../core/identity.ts";
import { presentedChain } from "../../identity/presented-chain.ts";
import { verifyChain } from "../../identity/verify-chain.ts";
import type { Caller } from "../caller.ts";
import type { CertificateAuthority } from "./authority.ts";

/** A verdict is good for so long: certificates end, and roots go, while a connection stands. */
const VERDICT_MS = 1_000;

interface Verdict {
  readonly caller: Caller;
  /** Read once: of a server's socket Node tells the intermediates the first time only. */
  readonly chain: readonly X509Certificate[];
  readonly anchors: readonly X509Certificate[];
  readonly untilMs: number;
}

/** Tells who is at the other end of connections to the TLS port, as of now. */
export class TlsCallers {
  readonly #authority: CertificateAuthority;
  readonly #trustDomain: string;
  readonly #wall: () => number;
  readonly #verdicts = new WeakMap<object, Verdict>();

  constructor(authority: CertificateAuthority, trustDomain: string, wall: () => number) {
    this.#authority = authority;
    this.#trustDomain = trustDomain;
    this.#wall = wall;
  }

  /** Asked again for every request: a certificate that has expired meanwhile counts as none. */
  identify(socket: object): Caller {
    const anchors = this.#authority.anchors();
    const nowMs = this.#wall();
    const known = this.#verdicts.get(socket);
    if (known !== undefined && known.anchors === anchors && nowMs < known.untilMs) {
      return known.caller;
    }
    const chain = known?.chain ?? (socket instanceof TLSSocket ? presentedChain(socket) : []);
    const caller = this.#judge(chain, anchors, nowMs);
    this.#verdicts.set(socket, { caller, chain, anchors, untilMs: nowMs + VERDICT_MS });
    return caller;
  }

  #judge(
    chain: readonly X509Certificate[],
    anchors: readonly X509Certificate[],
    nowMs: number,
  ): Caller {
    if (chain.length === 0) return { role: "anonymous", reason: null };
    const { identity, error } = verifyChain(chain, anchors, nowMs, this.#trustDomain);
    if (error !== undefined) return { role: "anonymous", reason: error };
    const id = parseSpiffeId(identity);
    if (id?.namespace === HOST_NAMESPACE) return { role: "host", host: id.serviceAccount };
    const isRegistry = id?.namespace === SYSTEM_NAMESPACE && id.serviceAccount === REGISTRY_ACCOUNT;
    if (isRegistry) return { role: "registry" };
    return { role: "anonymous", reason: `${identity} is no host` };
  }
}
