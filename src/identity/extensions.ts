import { isIP } from "node:net";
import { canonicalAddress } from "../core/address.ts";
import {
  bits,
  boolean,
  bytesOf,
  type Der,
  decode,
  encode,
  implicit,
  integer,
  octets,
  oid,
  partsOf,
  sequence,
} from "./der.ts";

/** Extensions of certificates, RFC 5280 section 4.2.1. */

/** Names by which a certificate's holder may be addressed. */
export interface AltNames {
  /** As `spiffe://cluster.local/ns/default/sa/web`; an SVID has exactly one. */
  readonly uris?: readonly string[];
  readonly dnsNames?: readonly string[];
  /** IPv4 and IPv6 addresses. */
  readonly ips?: readonly string[];
}

const OID = {
  subjectKeyId: "2.5.29.14",
  keyUsage: "2.5.29.15",
  altNames: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  authorityKeyId: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
};

/** It may sign leaves and lists of revoked ones, but no further authorities. */
export function authorityConstraints(): Der[] {
  const noFurther = integer(Uint8Array.of(0));
  return [
    extension(OID.basicConstraints, sequence(boolean(true), noFurther), true),
    // keyCertSign is bit 5, cRLSign bit 6; one bit of the byte is unused.
    extension(OID.keyUsage, bits(Uint8Array.of(0b0000_0110), 1), true),
  ];
}

/** It may stand at both ends of mutual TLS, and sign nothing but handshakes. */
export function leafConstraints(): Der[] {
  return [
    extension(OID.basicConstraints, sequence(), true),
    // digitalSignature is bit 0.
    extension(OID.keyUsage, bits(Uint8Array.of(0b1000_0000), 7), true),
    extension(OID.extendedKeyUsage, sequence(oid(OID.serverAuth), oid(OID.clientAuth))),
  ];
}

export function subjectKeyId(id: Uint8Array): Der {
  return extension(OID.subjectKeyId, octets(id));
}

export function authorityKeyId(id: Uint8Array): Der {
  return extension(OID.authorityKeyId, sequence(implicit(0, id)));
}

/** The list is empty where there is no name. Throws a TypeError for a name that no certificate can hold. */
export function altNames(
  { uris = [], dnsNames = [], ips = [] }: AltNames,
  { critical }: { readonly critical: boolean },
): Der[] {
  const names = [
    ...dnsNames.map((name) => implicit(2, ascii("DNS name", name, DNS_NAME.test(name)))),
    ...uris.map((uri) => implicit(6, ascii("URI", uri, URL.canParse(uri)))),
    ...ips.map((ip) => implicit(7, addressBytes(ip))),
  ];
  return names.length === 0 ? [] : [extension(OID.altNames, sequence(...names), critical)];
}

/** The subject key identifier among a certificate's extensions; null: it has none. */
export function findSubjectKeyId(extensions: Der): Buffer | null {
  const id = encode(oid(OID.subjectKeyId));
  for (const one of partsOf(extensions)) {
    const [kind, ...rest] = partsOf(one);
    const value = rest.at(-1);
    if (kind === undefined || value === undefined || !encode(kind).equals(id)) continue;
    return bytesOf(decode(bytesOf(value)));
  }
  return null;
}

/** Labels of letters, digits, hyphens and underscores; a wildcard may stand for the first. */
const LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?";
const DNS_NAME = new RegExp(`^(?=.{1,253}$)(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);

function ascii(kind: string, text: string, isValid: boolean): Buffer {
  if (!isValid || /[^\x21-\x7e]/.test(text)) throw new TypeError(`not a ${kind}: ${text}`);
  return Buffer.from(text, "latin1");
}

/** 4 or 16 bytes. */
function addressBytes(ip: string): Buffer {
  if (isIP(ip) === 0 || ip.includes("%")) throw new TypeError(`not an IP address: ${ip}`);
  const canonical = canonicalAddress(ip);
  if (isIP(canonical) === 4) return Buffer.from(canonical.split(".").map(Number));
  const [before = [], after = []] = canonical
    .split("::")
    .map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  const groups = [...before, ...zeros, ...after].map((group) => group.padStart(4, "0"));
  return Buffer.from(groups.join(""), "hex");
}

function extension(id: string, value: Der, critical = false): Der {
  const flag = critical ? [boolean(true)] : [];
  return sequence(oid(id), ...flag, octets(encode(value)));
}
