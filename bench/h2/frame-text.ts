/** HTTP/2 frames as latin1 texts, which are the cheapest to join and to write. */

/** A number of so many octets, the highest first. */
export function octets(value: number, count: 1 | 2 | 3 | 4): string {
  let text = "";
  for (let shift = 8 * (count - 1); shift >= 0; shift -= 8) {
    text += String.fromCharCode((value >>> shift) & 0xff);
  }
  return text;
}

/** What stands before the stream's id (RFC 9113 section 4.1). */
export function frameStart(length: number, type: number, flags: number): string {
  return octets(length, 3) + octets(type, 1) + octets(flags, 1);
}

/** A whole frame. */
export function frame(type: number, flags: number, streamId: number, payload: string): string {
  return frameStart(payload.length, type, flags) + octets(streamId, 4) + payload;
}

/** Payload of SETTINGS: identifiers and values in turn. */
export function settingsPayload(
  ...pairs: readonly (readonly [id: number, value: number])[]
): string {
  return pairs.map(([id, value]) => octets(id, 2) + octets(value, 4)).join("");
}

/** A field block without a dynamic table: names and values as they are, which any decoder reads (RFC 7541 section 6.2.2). */
export function fieldBlock(fields: readonly (readonly [name: string, value: string])[]): string {
  return fields.map(([name, value]) => `\0${string(name)}${string(value)}`).join("");
}

/** RFC 7541 section 5.2, without Huffman coding. */
function string(text: string): string {
  return prefixed(text.length, 7) + text;
}

/** An integer behind as many zero bits as its prefix leaves of the octet (RFC 7541 section 5.1). */
function prefixed(value: number, bits: number): string {
  const most = 2 ** bits - 1;
  if (value < most) return octets(value, 1);
  let text = octets(most, 1);
  let left = value - most;
  for (; left >= 0x80; left >>>= 7) text += octets((left & 0x7f) | 0x80, 1);
  return text + octets(left, 1);
}
