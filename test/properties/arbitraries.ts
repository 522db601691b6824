import fc from "fast-check";

const LOWER_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
const TOKEN = `${LOWER_TOKEN}ABCDEFGHIJKLMNOPQRSTUVWXYZ`;

/** A text of these characters. */
export function textOf(characters: string, minLength: number, maxLength: number) {
  return fc.string({ unit: fc.constantFrom(...characters), minLength, maxLength });
}

/** Names that mean nothing to a proxy. */
export const lowerName = textOf(LOWER_TOKEN, 0, 20).map((rest) => `q-${rest}`);
export const anyName = textOf(TOKEN, 0, 20).map((rest) => `Q-${rest}`);

/** One octet of a value, as latin1. */
const octet = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 0x21, max: 0x7e }) },
  { weight: 1, arbitrary: fc.constantFrom(0x09, 0x20) },
  { weight: 1, arbitrary: fc.integer({ min: 0x80, max: 0xff }) },
);

/** A field's value: no control characters, no white space around it. */
export const value = fc
  .array(octet, { maxLength: 60 })
  .map((octets) => String.fromCharCode(...octets).replace(/^[ \t]+|[ \t]+$/g, ""));

/** Fields that any message may have. */
export const fields = fc.array(fc.tuple(lowerName, value), { maxLength: 8 });

export const bytes = fc.uint8Array({ maxLength: 600 }).map((octets) => Buffer.from(octets));

/** Places to cut at, as parts of the whole: `cut` makes them positions. */
export const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });

/** The same bytes in pieces; some may be empty. */
export function cut(whole: Buffer, at: readonly number[]): Buffer[] {
  const ends = at.map((part) => Math.round(part * whole.length)).sort((a, b) => a - b);
  let from = 0;
  return [...ends, whole.length].map((end) => {
    const piece = whole.subarray(from, end);
    from = end;
    return piece;
  });
}
