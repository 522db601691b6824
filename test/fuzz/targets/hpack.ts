import assert from "node:assert/strict";
import { COMPRESSION_ERROR } from "../../../src/http/h2/codes.ts";
import { ConnectionError } from "../../../src/http/h2/errors.ts";
import { HpackDecoder } from "../../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/http/h2/hpack/encoder.ts";
import { decode, encode } from "../../http/h2/hpack/blocks.ts";
import { Fault, HpackModel } from "../hpack-model.ts";
import { mutator } from "../mutate.ts";
import { kindOf, scaleOf } from "../outcome.ts";
import type { Target } from "../target.ts";

const TABLES = [4_096, 0, 64, 300, 16_384];
/** Of `:method: GET` two count just as much as the second. */
const LISTS = [65_536, 84, 500, 4_000];
const MAX_FIELDS = 64;

/** Two octets before each block: the first bit says that the SETTINGS were acknowledged before it, 13 are its length. */
const ACKNOWLEDGED = 0x8000;
const LENGTH_MASK = 0x1fff;

const TOKENS = [
  ...[
    "\x82",
    "\x86",
    "\xbe",
    "\xbf",
    "\xff\x00",
    "\xff\x80\x00",
    "\x20",
    "\x3f\xe1\x1f",
    "\x3f\xe2\x1f",
    "\x3f\x80\x80\x80\x80\x00",
  ],
  ...["\x40\x01x\x01y", "\x00\x01x\x01y", "\x10\x01x\x01y", "\x40\x00\x00", "\x41\x81\xff"],
  ...[
    "\x7f\x00\x01z",
    "\x7f\x80\x80\x80\x80\x80\x01",
    "\x04\x84\xff\xff\xff\xff",
    "\xff\xff\xff\xff\xff\x07",
  ],
  ...["\x81\x07", "\x82\xff\xff", "\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff"],
];

interface Decoded {
  readonly fields: readonly string[] | null;
  readonly tooLarge: boolean;
  readonly error: string;
}

function attempt(decoder: HpackDecoder, action: () => readonly string[]): Decoded {
  try {
    return { fields: action(), tooLarge: decoder.tooLarge, error: "" };
  } catch (error) {
    assert.ok(error instanceof ConnectionError, `threw ${error}`);
    assert.equal(error.code, COMPRESSION_ERROR);
    return { fields: null, tooLarge: false, error: error.message };
  }
}

/** As many of the fields as the limits let through. */
function limited(fields: readonly string[], listBytes: number): string[] {
  const kept: string[] = [];
  let bytes = 0;
  for (let at = 0; at < fields.length && kept.length < 2 * MAX_FIELDS; at += 2) {
    bytes += fields[at]!.length + fields[at + 1]!.length + 32;
    if (bytes > listBytes) break;
    kept.push(fields[at]!, fields[at + 1]!);
  }
  return kept;
}

/** One connection: a decoder, the same among other octets, the model, and a pair that carries on what came out. */
class Connection {
  readonly #listBytes: number;
  readonly #decoders: readonly [HpackDecoder, HpackDecoder];
  readonly #model: HpackModel;
  readonly #encoder: HpackEncoder;
  readonly #far: HpackDecoder;

  constructor(config: number) {
    const tableBytes = TABLES[config % TABLES.length]!;
    this.#listBytes = LISTS[(config >> 4) % LISTS.length]!;
    const limits = { tableBytes, listBytes: this.#listBytes, fields: MAX_FIELDS };
    this.#decoders = [new HpackDecoder(limits), new HpackDecoder(limits)];
    this.#model = new HpackModel(tableBytes);
    this.#encoder = new HpackEncoder({ tableBytes });
    this.#far = new HpackDecoder({ tableBytes: 4_096, listBytes: 1e9, fields: 1e6 });
  }

  /** The decoders' SETTINGS are acknowledged, and the encoder hears of others. */
  acknowledge(peerBytes: number): void {
    this.#encoder.setPeerTableBytes(0);
    this.#encoder.setPeerTableBytes(Math.min(peerBytes, 4_096));
    for (const decoder of this.#decoders) decoder.settingsAcknowledged();
    this.#model.settingsAcknowledged();
  }

  take(block: Buffer): Decoded {
    const [alone, among] = this.#decoders;
    const decoded = attempt(alone, () => alone.decode(block, 0, block.length));
    assert.deepEqual(
      attempt(among, () => decode(among, block)),
      decoded,
    );
    const expected = this.#expect(block);
    assert.equal(expected === null, decoded.fields === null, `the model differs: ${decoded.error}`);
    if (expected === null || decoded.fields === null) return decoded;
    const kept = limited(expected, this.#listBytes);
    assert.deepEqual(decoded.fields, kept);
    assert.equal(decoded.tooLarge, kept.length < expected.length);
    assert.deepEqual(decode(this.#far, encode(this.#encoder, kept)), kept);
    return decoded;
  }

  #expect(block: Buffer): string[] | null {
    try {
      return this.#model.decode(block);
    } catch (error) {
      if (error instanceof Fault) return null;
      throw error;
    }
  }
}

/**
 * `HpackDecoder` and `HpackEncoder`: a block is decoded as the letter of RFC 7541 says, or a COMPRESSION_ERROR; the limits
 * hold; what was decoded comes out of an encoder and a decoder as it went in.
 */
export const hpack: Target = {
  name: "hpack",
  mutate: mutator(TOKENS),
  run(input) {
    const connection = new Connection(input[0] ?? 0);
    let outcome = `${input[0] ?? 0}`;
    for (let at = 1; at + 2 <= input.length; ) {
      const head = input.readUInt16BE(at);
      if ((head & ACKNOWLEDGED) !== 0) connection.acknowledge(head & LENGTH_MASK);
      const end = Math.min(input.length, at + 2 + (head & LENGTH_MASK));
      const { fields, tooLarge, error } = connection.take(input.subarray(at + 2, end));
      outcome += ` ${scaleOf(fields?.length ?? 0)}${tooLarge ? "+" : ""}${kindOf(error)}`;
      if (fields === null || outcome.length > 200) break;
      at = end;
    }
    return outcome;
  },
};
