import { X509Certificate } from "node:crypto";
import { LRUCache } from "lru-cache";
import { verifyChain } from "./verify-chain.ts";

/** Whom a certificate proved to be, and with what. */
export interface VerifiedPeer {
  /** SPIFFE ID. */
  readonly identity: string;
  /** SHA-256 of the leaf, hexadecimal digits in lower case. */
  readonly fingerprint: string;
  /** The leaf, then what stood between it and an anchor. */
  readonly chain: readonly X509Certificate[];
  /** When it was proved, ms since the epoch. */
  readonly verifiedMs: number;
}

export type PeerVerdict =
  | { readonly peer: VerifiedPeer; readonly error?: undefined }
  /** Why not, as a clause. */
  | { readonly error: string; readonly peer?: undefined };

interface Known {
  readonly peer: VerifiedPeer;
  /** Until then nothing in the chain, and no anchor, expires. */
  readonly untilMs: number;
}

/** Leaves that were found good; about 4 KiB each. */
const MAX_KNOWN = 4_096;
const MAX_INTERMEDIATES = 32;
/** Leaf and intermediates, as `verifyChain` takes them. */
const MAX_CHAIN = 5;

/**
 * Judges certificates by one set of trust anchors. A leaf that was found good stays so until something in its chain
 * expires, so that a handshake with a known peer costs a digest; what was found bad is judged anew each time.
 */
export class PeerVerifier {
  readonly #anchors: readonly X509Certificate[];
  readonly #trustDomain: string;
  readonly #known = new LRUCache<string, Known>({ max: MAX_KNOWN });
  /** By subject. A resumed session shows the leaf alone, perhaps to another worker than the one that saw its chain. */
  readonly #intermediates = new LRUCache<string, X509Certificate>({ max: MAX_INTERMEDIATES });
  /** Answers of `stillTrusts`: a host is asked for all its connections in one go, and most have few peers. */
  readonly #reviewed = new WeakMap<VerifiedPeer, boolean>();

  /** `anchors` are PEM. Throws where one is no certificate. */
  constructor(anchors: readonly string[], trustDomain: string) {
    this.#anchors = anchors.map((pem) => new X509Certificate(pem));
    this.#trustDomain = trustDomain;
  }

  /**
   * Remembers the intermediates of a chain that is believed: our own, or a peer's. Only those that have really signed it,
   * or a peer could put others of the same name in their place.
   */
  learn([leaf, ...others]: readonly X509Certificate[]): void {
    for (let below = leaf; below !== undefined; ) {
      const issuer = issuerOf(below, others);
      if (issuer === undefined || this.#intermediates.get(issuer.subject) === issuer) return;
      this.#intermediates.set(issuer.subject, issuer);
      below = issuer;
    }
  }

  /** `presented` is the leaf, then what was sent along with it. */
  judge(presented: readonly X509Certificate[], nowMs: number): PeerVerdict {
    const leaf = presented[0];
    if (leaf === undefined) return { error: "there is no certificate" };
    const fingerprint = leaf.fingerprint256.replaceAll(":", "").toLowerCase();
    const known = this.#known.get(fingerprint);
    if (known !== undefined && nowMs < known.untilMs) return { peer: known.peer };
    const chain = presented.length > 1 ? presented : this.#completed(leaf);
    const { identity, error } = verifyChain(chain, this.#anchors, nowMs, this.#trustDomain);
    if (error !== undefined) return { error };
    const peer = { identity, fingerprint, chain, verifiedMs: nowMs };
    const endOf = (one: X509Certificate) => one.validToDate.getTime();
    // An authority that has ended had no part in the proof; of the chain every part had, also in its last second.
    const anchorEnds = this.#anchors.map(endOf).filter((ms) => ms > nowMs);
    this.#known.set(fingerprint, { peer, untilMs: Math.min(...chain.map(endOf), ...anchorEnds) });
    if (presented.length > 1) this.learn(presented);
    return { peer };
  }

  /**
   * Would the peer be believed today, if it were the day on which it proved itself? Connections outlive certificates
   * that are renewed behind them; they do not outlive the authority's removal.
   */
  stillTrusts(peer: VerifiedPeer): boolean {
    const { chain, fingerprint, verifiedMs } = peer;
    if (this.#known.has(fingerprint)) return true;
    const before = this.#reviewed.get(peer);
    if (before !== undefined) return before;
    const { error } = verifyChain(chain, this.#anchors, verifiedMs, this.#trustDomain);
    this.#reviewed.set(peer, error === undefined);
    return error === undefined;
  }

  #completed(leaf: X509Certificate): X509Certificate[] {
    const chain = [leaf];
    for (let top = leaf; chain.length < MAX_CHAIN; ) {
      const above = this.#intermediates.get(top.issuer);
      if (above === undefined || chain.includes(above)) break;
      chain.push(above);
      top = above;
    }
    return chain;
  }
}

function issuerOf(
  below: X509Certificate,
  others: readonly X509Certificate[],
): X509Certificate | undefined {
  return others.find(
    (one) => one !== below && below.checkIssued(one) && below.verify(one.publicKey),
  );
}
