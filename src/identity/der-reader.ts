/**
 * Reads DER (X.690 section 10) of strangers, without recursion and without copies: what the standard allows to be
 * written in only one way is refused in any other.
 */

export interface DerValue {
  /** The identifier octet: class, constructed or not, and number. */
  readonly tag: number;
  readonly content: Buffer;
  /** With identifier and length: what signatures are made over. */
  readonly whole: Buffer;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Numbers from 31 on take further octets; nothing that is read here has one. */
const LONG_NUMBER = 0x1f;
const LONG_LENGTH = 0x80;

/** One value and nothing behind it. Throws a TypeError for anything else. */
export function readDer(bytes: Uint8Array): DerValue {
  const [only, ...more] = readAll(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
  if (only === undefined) throw new TypeError("DER: no value");
  if (more.length > 0) throw new TypeError("DER: bytes after the value");
  return only;
}

/** What a value of the given kind is made of. Throws a TypeError where it is of another kind. */
export function readParts(value: DerValue | undefined, tag: number): DerValue[] {
  return readAll(readContent(value, tag));
}

/** The content of a value of the given kind. Throws a TypeError where it is of another kind. */
export function readContent(value: DerValue | undefined, tag: number): Buffer {
  if (value === undefined) throw new TypeError("DER: a value is missing");
  if (value.tag !== tag) throw new TypeError(`DER: tag ${value.tag} in place of ${tag}`);
  return value.content;
}

/** A string of whole bytes. Throws a TypeError for any other. */
export function readBits(value: DerValue | undefined): Buffer {
  const content = readContent(value, TAG.bitString);
  if (content[0] !== 0) throw new TypeError("DER: a bit string that is not of whole bytes");
  return content.subarray(1);
}

/** As `1.2.840.10045.4.3.2`. */
export function readOid(value: DerValue | undefined): string {
  const content = readContent(value, TAG.oid);
  const numbers: number[] = [];
  let number = 0;
  for (const octet of content) {
    number = number * 128 + (octet & 0x7f);
    if (!Number.isSafeInteger(number)) throw new TypeError("DER: an object identifier too large");
    if ((octet & 0x80) !== 0) continue;
    numbers.push(number);
    number = 0;
  }
  const [first] = numbers;
  if (first === undefined || ((content.at(-1) ?? 0) & 0x80) !== 0) {
    throw new TypeError("DER: an object identifier that does not end");
  }
  const root = Math.min(2, Math.floor(first / 40));
  return [root, first - root * 40, ...numbers.slice(1)].join(".");
}

function readAll(bytes: Buffer): DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const value = readOne(bytes.subarray(at));
    values.push(value);
    at += value.whole.length;
  }
  return values;
}

function readOne(bytes: Buffer): DerValue {
  const [tag = 0, first] = bytes;
  if ((tag & LONG_NUMBER) === LONG_NUMBER) throw new TypeError("DER: a tag of several octets");
  if (first === undefined) throw new TypeError("DER: a value without a length");
  const octets = first < LONG_LENGTH ? 0 : first - LONG_LENGTH;
  const start = 2 + octets;
  // Three octets of length count to 16 MiB: more than any caller lets in.
  if (first === LONG_LENGTH || octets > 3 || bytes.length < start) {
    throw new TypeError("DER: a length that is not one");
  }
  const length = octets === 0 ? first : bytes.readUIntBE(2, octets);
  if (octets > 0 && (length < LONG_LENGTH || bytes[2] === 0)) {
    throw new TypeError("DER: a length in more octets than it takes");
  }
  if (bytes.length < start + length) throw new TypeError("DER: a value that is cut off");
  return {
    tag,
    content: bytes.subarray(start, start + length),
    whole: bytes.subarray(0, start + length),
  };
}
