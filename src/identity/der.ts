import forge from "node-forge";

/** The few forms of DER (X.690) of which certificates are made, over node-forge's encoder. */
export type Der = forge.asn1.Asn1;

const { asn1 } = forge;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const YEAR_OF_GENERALIZED_TIME = 2050;

export function sequence(...parts: readonly Der[]): Der {
  return asn1.create(UNIVERSAL, asn1.Type.SEQUENCE, true, [...parts]);
}

export function set(...parts: readonly Der[]): Der {
  return asn1.create(UNIVERSAL, asn1.Type.SET, true, [...parts]);
}

export function oid(dotted: string): Der {
  return asn1.create(UNIVERSAL, asn1.Type.OID, false, asn1.oidToDer(dotted).getBytes());
}

/** Of big-endian bytes; the first bit must be 0, as the number is positive. */
export function integer(bytes: Uint8Array): Der {
  return asn1.create(UNIVERSAL, asn1.Type.INTEGER, false, binary(bytes));
}

export function boolean(value: boolean): Der {
  return asn1.create(UNIVERSAL, asn1.Type.BOOLEAN, false, value ? "\xff" : "\0");
}

export function utf8(text: string): Der {
  return asn1.create(UNIVERSAL, asn1.Type.UTF8, false, forge.util.encodeUtf8(text));
}

export function octets(bytes: Uint8Array): Der {
  return asn1.create(UNIVERSAL, asn1.Type.OCTETSTRING, false, binary(bytes));
}

/** The last `unused` bits of the last byte do not count. */
export function bits(bytes: Uint8Array, unused = 0): Der {
  const value = String.fromCharCode(unused) + binary(bytes);
  return asn1.create(UNIVERSAL, asn1.Type.BITSTRING, false, value);
}

/** RFC 5280 section 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050 on. */
export function time(date: Date): Der {
  return date.getUTCFullYear() < YEAR_OF_GENERALIZED_TIME
    ? asn1.create(UNIVERSAL, asn1.Type.UTCTIME, false, asn1.dateToUtcTime(date))
    : asn1.create(UNIVERSAL, asn1.Type.GENERALIZEDTIME, false, asn1.dateToGeneralizedTime(date));
}

/** `[tag]` around a value: EXPLICIT. */
export function explicit(tag: number, value: Der): Der {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, [value]);
}

/** `[tag]` in place of the type of a set or sequence: IMPLICIT. */
export function tagged(tag: number, ...parts: readonly Der[]): Der {
  return asn1.create(CONTEXT_SPECIFIC, tag, true, [...parts]);
}

/** `[tag]` in place of the type of some bytes: IMPLICIT. */
export function implicit(tag: number, bytes: Uint8Array): Der {
  return asn1.create(CONTEXT_SPECIFIC, tag, false, binary(bytes));
}

export function encode(value: Der): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "latin1");
}

/** Throws an Error where the bytes are no DER. */
export function decode(bytes: Uint8Array): Der {
  return asn1.fromDer(forge.util.createBuffer(binary(bytes)));
}

/** What a constructed value is made of; nothing of any other. */
export function partsOf({ value }: Der): readonly Der[] {
  return Array.isArray(value) ? value : [];
}

/** The content of a primitive value; nothing of a constructed one. */
export function bytesOf({ value }: Der): Buffer {
  return Buffer.from(typeof value === "string" ? value : "", "latin1");
}

/** node-forge holds bytes as strings of characters up to 255. */
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
