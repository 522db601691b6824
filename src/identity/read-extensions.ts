import { type DerValue, readContent, readDer, readOid, readParts, TAG } from "./der-reader.ts";

/** Extensions as certificates and requests hold them: RFC 5280 sections 4.1.2.9 and 4.2.1. */

export interface Extension {
  readonly oid: string;
  readonly critical: boolean;
  readonly value: Buffer;
}

export const EXTENSION = {
  keyUsage: "2.5.29.15",
  altNames: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Of the value of `subjectAltName`. */
export interface ReadNames {
  readonly uris: readonly string[];
  /** The kinds of the other names, as "DNS". */
  readonly others: readonly string[];
}

export interface BasicConstraints {
  readonly isAuthority: boolean;
  /** How many authorities may stand between it and a leaf; null: any number. */
  readonly pathLength: number | null;
}

const TRUE = 0xff;
const URI_TAG = 0x86;
/** GeneralName's alternatives by the number of their tag, RFC 5280 section 4.2.1.6. */
const NAME_KINDS = [
  "other",
  "e-mail",
  "DNS",
  "X.400",
  "directory",
  "EDI party",
  "URI",
  "IP address",
  "registered",
];

/** Throws a TypeError for what is no list of extensions, and for one that is given twice. */
export function readExtensions(list: DerValue | undefined): Map<string, Extension> {
  const extensions = new Map<string, Extension>();
  for (const one of readParts(list, TAG.sequence)) {
    const parts = readParts(one, TAG.sequence);
    const oid = readOid(parts[0]);
    const flag = parts.length === 3 ? readContent(parts[1], TAG.boolean) : null;
    if (parts.length < 2 || parts.length > 3 || (flag !== null && !isTrue(flag))) {
      throw new TypeError(`the extension ${oid} is malformed`);
    }
    if (extensions.has(oid)) throw new TypeError(`the extension ${oid} is there twice`);
    const value = readContent(parts.at(-1), TAG.octetString);
    extensions.set(oid, { oid, critical: flag !== null, value });
  }
  return extensions;
}

export function readAltNames(value: Buffer): ReadNames {
  const uris: string[] = [];
  const others: string[] = [];
  for (const { tag, content } of readParts(readDer(value), TAG.sequence)) {
    if (tag !== URI_TAG) others.push(NAME_KINDS[tag & 0x1f] ?? "unknown");
    // A byte beyond ASCII becomes a character that no SPIFFE ID has; so does a NUL.
    else uris.push(content.toString("latin1"));
  }
  return { uris, others };
}

/** cA is false unless it is there; RFC 5280 section 4.2.1.9. */
export function readBasicConstraints(value: Buffer): BasicConstraints {
  const parts = readParts(readDer(value), TAG.sequence);
  const isAuthority =
    parts[0]?.tag === TAG.boolean && isTrue(readContent(parts.shift(), TAG.boolean));
  if (parts.length === 0) return { isAuthority, pathLength: null };
  const length = readContent(parts[0], TAG.integer);
  if (parts.length > 1 || length.length !== 1 || (length[0] ?? 0) > 0x7f || !isAuthority) {
    throw new TypeError("basic constraints that are malformed");
  }
  return { isAuthority, pathLength: length[0] ?? 0 };
}

/** The first byte of the bits: 0x80 digitalSignature, 0x04 keyCertSign, 0x02 cRLSign (section 4.2.1.3). */
export function readKeyUsage(value: Buffer): number {
  return readContent(readDer(value), TAG.bitString)[1] ?? 0;
}

/** Object identifiers, section 4.2.1.12. */
export function readExtendedKeyUsage(value: Buffer): string[] {
  return readParts(readDer(value), TAG.sequence).map(readOid);
}

/** FALSE is the default, which DER leaves out. */
function isTrue(content: Buffer): boolean {
  if (content.length === 1 && content[0] === TRUE) return true;
  throw new TypeError("DER: a boolean that is not TRUE");
}
