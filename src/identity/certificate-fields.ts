import type { X509Certificate } from "node:crypto";
import { type DerValue, readDer, readOid, readParts, TAG } from "./der-reader.ts";
import {
  EXTENSION,
  type Extension,
  readAltNames,
  readBasicConstraints,
  readExtendedKeyUsage,
  readExtensions,
  readKeyUsage,
} from "./read-extensions.ts";

/** What Node's own X509Certificate does not tell, or tells as text in which names could pose as others. */
export interface CertificateFields {
  /** Why it must not be used at all, as "has a critical extension that is not known: 1.2.3"; null: nothing. */
  readonly fault: string | null;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly uris: readonly string[];
  readonly isAuthority: boolean;
  /** How many authorities may stand between it and a leaf; null: any number. */
  readonly pathLength: number | null;
  /** The first byte of the bits; null: the extension is missing. */
  readonly keyUsage: number | null;
  readonly extendedKeyUsage: readonly string[];
}

/** ECDSA and RSA with SHA-2, RSA-PSS, Ed25519. */
const SIGNATURES = new Set([
  ...["1.2.840.10045.4.3.2", "1.2.840.10045.4.3.3", "1.2.840.10045.4.3.4"],
  ...["1.2.840.113549.1.1.11", "1.2.840.113549.1.1.12", "1.2.840.113549.1.1.13"],
  ...["1.2.840.113549.1.1.10", "1.3.101.112"],
]);
const EXTENSIONS_TAG = 0xa3;
const KNOWN: ReadonlySet<string> = new Set(Object.values(EXTENSION));
const read = new WeakMap<X509Certificate, CertificateFields>();

/** Never throws: what cannot be read has a fault. Anchors are asked again and again, so answers are kept. */
export function readCertificate(certificate: X509Certificate): CertificateFields {
  const known = read.get(certificate);
  if (known !== undefined) return known;
  const fields = readFields(certificate);
  read.set(certificate, fields);
  return fields;
}

function readFields(certificate: X509Certificate): CertificateFields {
  const validity = {
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
  try {
    const [body, algorithm] = readParts(readDer(certificate.raw), TAG.sequence);
    const signature = readOid(readParts(algorithm, TAG.sequence)[0]);
    const extensions = readExtensionsOf(readParts(body, TAG.sequence));
    const unknown = [...extensions.values()].find(
      ({ critical, oid }) => critical && !KNOWN.has(oid),
    );
    return {
      ...validity,
      ...faultOf(signature, unknown),
      ...understand(extensions),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...validity, ...understand(new Map()), fault: `cannot be read: ${reason}` };
  }
}

function faultOf(signature: string, unknown: Extension | undefined): { fault: string | null } {
  if (!SIGNATURES.has(signature)) {
    return { fault: `has a signature of a kind that is not accepted: ${signature}` };
  }
  if (unknown === undefined) return { fault: null };
  return { fault: `has a critical extension that is not known: ${unknown.oid}` };
}

function readExtensionsOf(body: readonly DerValue[]): Map<string, Extension> {
  const wrapped = body.find(({ tag }) => tag === EXTENSIONS_TAG);
  if (wrapped === undefined) return new Map();
  return readExtensions(readParts(wrapped, EXTENSIONS_TAG)[0]);
}

function understand(extensions: ReadonlyMap<string, Extension>) {
  const find = (oid: string): Buffer | null => extensions.get(oid)?.value ?? null;
  const [names, constraints] = [find(EXTENSION.altNames), find(EXTENSION.basicConstraints)];
  const [usage, extended] = [find(EXTENSION.keyUsage), find(EXTENSION.extendedKeyUsage)];
  return {
    uris: names === null ? [] : readAltNames(names).uris,
    ...(constraints === null
      ? { isAuthority: false, pathLength: null }
      : readBasicConstraints(constraints)),
    keyUsage: usage === null ? null : readKeyUsage(usage),
    extendedKeyUsage: extended === null ? [] : readExtendedKeyUsage(extended),
  };
}
