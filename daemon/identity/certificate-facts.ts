import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Random } from "../../src/core/random.ts";
import { splitPem } from "../../src/identity/pem.ts";
import { verifyChain } from "../../src/identity/verify-chain.ts";

/** Certificates of very short lives are not renewed more often than this. */
const SHORTEST_MS = 100;
const JITTER = 0.1;

/** SHA-256 of the certificate's DER as lower-case hex, as join tokens and the trust record give it. */
export function sha256OfCertificate(pem: string): string {
  return sha256Of(new X509Certificate(pem));
}

/** Are these the same certificates, in whatever order? */
export function sameCertificates(some: readonly string[], others: readonly string[]): boolean {
  const joined = (pems: readonly string[]) => pems.map((pem) => pem.trim()).sort();
  return joined(some).join() === joined(others).join();
}

export interface ChainCheck {
  /** PEM: the leaf, then the intermediates. */
  readonly chain: string;
  /** PEM of the key that the leaf must belong to. */
  readonly privateKey: string;
  /** PEM of the authorities that it must come from. */
  readonly anchors: readonly string[];
  readonly trustDomain: string;
  /** The SPIFFE ID that it must name. */
  readonly identity: string;
  readonly nowMs: number;
}

export interface ChainFacts {
  /** Ms since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** SHA-256 (hex) of the certificate of the authority that signed the leaf. */
  readonly issuer: string;
}

/** Reads a chain that is to be used. Throws with the reason where nobody should believe it. */
export function checkChain(check: ChainCheck): ChainFacts {
  const chain = splitPem("CERTIFICATE", check.chain).map((pem) => new X509Certificate(pem));
  const anchors = check.anchors.map((pem) => new X509Certificate(pem));
  const verdict = verifyChain(chain, anchors, check.nowMs, check.trustDomain);
  if (verdict.error !== undefined) throw new Error(verdict.error);
  const { identity } = check;
  if (verdict.identity !== identity) {
    throw new Error(`the certificate is ${verdict.identity}'s, not ${identity}'s`);
  }
  const [leaf, ...rest] = chain;
  if (leaf?.checkPrivateKey(createPrivateKey(check.privateKey)) !== true) {
    throw new Error("the certificate belongs to another key");
  }
  const issuer = [...rest, ...anchors].find((one) => leaf.checkIssued(one));
  return {
    notBeforeMs: leaf.validFromDate.getTime(),
    notAfterMs: leaf.validToDate.getTime(),
    issuer: issuer === undefined ? "" : sha256Of(issuer),
  };
}

/**
 * When to renew, in ms since the epoch: at half of what was left at `sinceMs`, or up to a tenth of that earlier, so
 * that certificates fetched together are not renewed together.
 */
export function renewalMs(sinceMs: number, notAfterMs: number, random: Random): number {
  const halfMs = (notAfterMs - sinceMs) / 2;
  return sinceMs + Math.max(SHORTEST_MS, halfMs * (1 - JITTER * random()));
}

function sha256Of(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(":", "").toLowerCase();
}
