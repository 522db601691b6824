import type { X509Certificate } from "node:crypto";
import { parseSpiffeId } from "../core/identity.ts";
import { type CertificateFields, readCertificate } from "./certificate-fields.ts";

/**
 * Path validation (RFC 5280 section 6) for what a mesh needs: X.509-SVIDs (SPIFFE X.509-SVID sections 4 and 5) of one
 * trust domain, with no lists of revoked ones and no names or policies of authorities.
 */

export type ChainVerdict =
  /** The leaf's SPIFFE ID. */
  | { readonly identity: string; readonly error?: undefined }
  /** Why it is not trusted, as a clause: "the certificate has expired". */
  | { readonly error: string; readonly identity?: undefined };

/** Leaf and intermediates: a chain of more is not looked at. All orders of so few can be tried. */
const MAX_CERTIFICATES = 5;
const USAGE = { digitalSignature: 0x80, keyCertSign: 0x04, crlSign: 0x02 };
const EXTENDED_USAGE = ["1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"];

/**
 * Whether the first certificate leads, over the others in any order, to one of the anchors, all of them valid now; and
 * whom it names. Never throws.
 */
export function verifyChain(
  leafAndIntermediates: readonly X509Certificate[],
  anchors: readonly X509Certificate[],
  nowMs: number,
  trustDomain: string,
): ChainVerdict {
  const [leaf, ...intermediates] = leafAndIntermediates;
  if (leaf === undefined) return { error: "there is no certificate" };
  if (intermediates.length >= MAX_CERTIFICATES) {
    return { error: `the chain has more than ${MAX_CERTIFICATES} certificates` };
  }
  const fields = readCertificate(leaf);
  const fault = faultOf(fields, nowMs) ?? faultOfLeaf(fields, trustDomain);
  if (fault !== null) return { error: `the certificate ${fault}` };
  const unproven = climb({ below: leaf, depth: 0, nowMs, anchors, intermediates });
  return unproven === null ? { identity: fields.uris[0] ?? "" } : { error: unproven };
}

interface Step {
  readonly below: X509Certificate;
  /** How many intermediates there are already under the one that is sought. */
  readonly depth: number;
  readonly nowMs: number;
  readonly anchors: readonly X509Certificate[];
  readonly intermediates: readonly X509Certificate[];
}

/** Null: an anchor was reached; else the most telling of the reasons why not. */
function climb(step: Step): string | null {
  const { below, depth, nowMs, anchors, intermediates } = step;
  let reason = "the certificate's issuer is not trusted";
  for (const anchor of anchors) {
    if (!hasIssued(anchor, below)) continue;
    const fault = faultOfAuthority(anchor, depth, nowMs);
    if (fault === null) return null;
    reason = `the trust anchor ${fault}`;
  }
  for (const one of intermediates) {
    if (!hasIssued(one, below)) continue;
    const fault = faultOfAuthority(one, depth, nowMs);
    const rest = intermediates.filter((other) => other !== one);
    const above =
      fault === null
        ? climb({ ...step, below: one, depth: depth + 1, intermediates: rest })
        : `an intermediate certificate ${fault}`;
    if (above === null) return null;
    reason = above;
  }
  return reason;
}

/** Names and key identifiers agree, and the signature is the issuer's. */
function hasIssued(issuer: X509Certificate, subject: X509Certificate): boolean {
  try {
    return subject.checkIssued(issuer) && subject.verify(issuer.publicKey);
  } catch {
    // A key of a kind that cannot be used: nothing that it signed is trusted.
    return false;
  }
}

function faultOfAuthority(
  certificate: X509Certificate,
  depth: number,
  nowMs: number,
): string | null {
  const fields = readCertificate(certificate);
  const { isAuthority, pathLength, keyUsage } = fields;
  const fault = faultOf(fields, nowMs);
  if (fault !== null) return fault;
  if (!isAuthority) return "is not an authority's";
  if (keyUsage !== null && (keyUsage & USAGE.keyCertSign) === 0) return "may not sign others";
  if (pathLength !== null && depth > pathLength) return "allows fewer authorities under it";
  return null;
}

function faultOfLeaf(fields: CertificateFields, trustDomain: string): string | null {
  const { isAuthority, keyUsage, extendedKeyUsage, uris } = fields;
  if (isAuthority) return "is an authority's";
  if (keyUsage === null || (keyUsage & USAGE.digitalSignature) === 0) return "may not sign";
  if ((keyUsage & (USAGE.keyCertSign | USAGE.crlSign)) !== 0) return "may sign others";
  if (!EXTENDED_USAGE.every((one) => extendedKeyUsage.includes(one))) {
    return "is not for both ends of TLS";
  }
  if (uris.length !== 1) return `has ${uris.length} URIs in place of one`;
  const id = parseSpiffeId(uris[0] ?? "");
  if (id === null) return "names no SPIFFE ID";
  if (id.trustDomain !== trustDomain) return "is of another trust domain";
  return null;
}

function faultOf(fields: CertificateFields, nowMs: number): string | null {
  if (fields.fault !== null) return fields.fault;
  // Validity is in whole seconds, and its last second is part of it.
  if (Math.floor(nowMs / 1000) * 1000 > fields.notAfterMs) return "has expired";
  if (nowMs < fields.notBeforeMs) return "is not valid yet";
  return null;
}
