/** Frames of RFC 6455 section 5, as a test writes them; nothing of them needs to be right. */
export interface FrameSpec {
  readonly opcode: number;
  readonly payload?: string | Buffer;
  readonly fin?: boolean;
  /** RSV1 to RSV3 as bits 4, 2, 1. */
  readonly reserved?: number;
  /** Length as it is announced, where that is not the payload's. */
  readonly announced?: number;
  /** In the longest form of the length, whatever it is. */
  readonly longForm?: boolean;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);

/** `isMasked`: as a client sends it. */
export function websocketFrame(
  { opcode, payload = "", fin = true, reserved = 0, announced, longForm = false }: FrameSpec,
  isMasked: boolean,
): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : Buffer.from(payload);
  const first = (fin ? 0x80 : 0) | (reserved << 4) | opcode;
  const length = lengthOctets(announced ?? body.length, longForm);
  length[0] = (length[0] ?? 0) | (isMasked ? 0x80 : 0);
  if (!isMasked) return Buffer.concat([Buffer.of(first), length, body]);
  for (let at = 0; at < body.length; at++) body[at] = (body[at] ?? 0) ^ (MASK[at % 4] ?? 0);
  return Buffer.concat([Buffer.of(first), length, MASK, body]);
}

function lengthOctets(length: number, longForm: boolean): Buffer {
  if (longForm || length > 65_535) {
    const octets = Buffer.alloc(9);
    octets[0] = 127;
    octets.writeBigUInt64BE(BigInt(length), 1);
    return octets;
  }
  if (length < 126) return Buffer.of(length);
  const octets = Buffer.alloc(3);
  octets[0] = 126;
  octets.writeUInt16BE(length, 1);
  return octets;
}

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

const text = (payload: string | Buffer, more: Partial<FrameSpec> = {}) => ({
  ...{ opcode: TEXT, payload },
  ...more,
});
const binary = (payload: string | Buffer, more: Partial<FrameSpec> = {}) => ({
  ...{ opcode: BINARY, payload },
  ...more,
});
const rest = (payload: string, fin = true) => ({ opcode: 0, payload, fin });
const ping = (payload: string | Buffer = "") => ({ opcode: PING, payload });
const pong = (payload = "") => ({ opcode: PONG, payload });
const closing = (payload: string | Buffer = "") => ({ opcode: CLOSE, payload });
const code = (value: number, reason: string | Buffer = "") =>
  closing(Buffer.concat([Buffer.from([value >> 8, value & 255]), Buffer.from(reason)]));

const KOSME = Buffer.from("κόσμε");
const SIZES = [0, 125, 126, 127, 128, 65_535, 65_536];
const split = (payload: string, bytes: number) =>
  [...payload].map((_, at) => payload.slice(at * bytes, (at + 1) * bytes)).filter((one) => one);
const pieces = (opcode: number, payload: string, bytes: number): FrameSpec[] =>
  split(payload, bytes).map((part, at, all) => ({
    opcode: at === 0 ? opcode : 0,
    payload: part,
    fin: at === all.length - 1,
  }));

export interface FrameCase {
  readonly name: string;
  readonly frames: readonly FrameSpec[];
}

const one = (name: string, ...frames: FrameSpec[]): FrameCase => ({ name, frames });

/** Autobahn's reserved bits, in the order of its cases. */
const RESERVED: readonly FrameCase[] = [
  one("3.1 RSV = 1", text("*", { reserved: 1 })),
  one("3.2 RSV = 2 behind a whole message", text("*"), text("*", { reserved: 2 }), ping()),
  one("3.3 RSV = 3", text("*"), text("*", { reserved: 3 }), ping()),
  one("3.4 RSV = 4", text("*"), text("*", { reserved: 4 }), ping()),
  one("3.5 RSV = 5 in binary", binary("*", { reserved: 5 })),
  one("3.6 RSV = 6 in a ping", { ...ping("*"), reserved: 6 }),
  one("3.7 RSV = 7 in a close", { ...closing(), reserved: 7 }),
];

const FRAGMENTS: readonly FrameCase[] = [
  one("5.1 a ping in two", { ...ping("a"), fin: false }, rest("b")),
  one("5.2 a pong in two", { ...pong("a"), fin: false }, rest("b")),
  one("5.3 text in two", text("a", { fin: false }), rest("b")),
  one("5.6 text in two, a ping between", text("a", { fin: false }), ping("p"), rest("b")),
  one("5.9 a continuation of nothing", rest("b"), text("a")),
  one("5.11 a continuation of nothing, not final", rest("b", false), text("a")),
  one("5.15 behind the end", text("a", { fin: false }), rest("b"), rest("c", false), text("d")),
  one("5.16 text within text", rest("a", false), text("b", { fin: false }), rest("c")),
  one("5.18 text in text", text("a", { fin: false }), text("b")),
  one(
    "5.19 five fragments with pings between",
    ...[text("a", { fin: false }), rest("b", false), ping("1"), rest("c", false), rest("d", false)],
    ...[ping("2"), rest("e")],
  ),
];

/** What is no UTF-8: Autobahn's 6.3, 6.4, 6.6 to 6.20, by example. */
const BROKEN: readonly [name: string, hex: string][] = [
  ["6.3 invalid in the middle", "cebae1bdb9cf83cebcceb5eda080656469746564"],
  ["6.4 over the last code point", "cebae1bdb9cf83cebcceb5f4908080656469746564"],
  ["6.6 half a character", "ce"],
  ["6.8 five octets", "f888808080"],
  ["6.10 too large", "f7bfbfbf"],
  ["6.12 a lone continuation", "80"],
  ["6.13 lone starts", "c020c120"],
  ["6.14 cut off", "e08080"],
  ["6.15 all of these", "c0e080f08080f8808080fc80808080"],
  ["6.16 impossible", "fefeffff"],
  ["6.17 overlong", "c0af"],
  ["6.18 the largest overlong", "c1bf"],
  ["6.19 overlong NUL", "c080"],
  ["6.20 a surrogate", "eda080"],
];

const UTF8: readonly FrameCase[] = [
  one("6.1 empty, and in empty pieces", text(""), text("", { fin: false }), rest("")),
  one("6.2 whole", text(KOSME)),
  one("6.2 in octets", ...pieces(TEXT, KOSME.toString("latin1"), 1)),
  ...BROKEN.map(([name, hex]) => one(name, text(Buffer.from(hex, "hex")))),
  ...["00", "7f", "c280", "dfbf", "e0a080", "efbfbf", "f0908080", "f48fbfbf"].map((hex) =>
    one(`6.21 to 6.23 ${hex}`, text(Buffer.from(hex, "hex"))),
  ),
];

const GOOD_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999];
const BAD_CODES = [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535];

const CLOSES: readonly FrameCase[] = [
  one("7.1.1 behind a message", text("x"), code(1000)),
  one("7.1.2 twice", code(1000), code(1000)),
  one("7.1.3 a ping behind it", code(1000), ping()),
  one("7.1.4 text behind it", code(1000), text("x")),
  one("7.1.5 within a message", text("a", { fin: false }), code(1000), rest("b")),
  one("7.1.6 behind much", text("B".repeat(262_144)), text("x"), code(1000), ping()),
  one("7.3.1 empty", closing()),
  one("7.3.2 one octet", closing("a")),
  one("7.3.3 a code alone", code(1000)),
  one("7.3.4 with a reason", code(1000, "Hello")),
  one("7.3.5 the longest", code(1000, "*".repeat(123))),
  one("7.3.6 too long", code(1000, "*".repeat(124))),
  one("7.5.1 a reason that is no UTF-8", code(1000, Buffer.from("cebaeda080", "hex"))),
  ...GOOD_CODES.map((value) => one(`7.7 ${value}`, code(value))),
  ...BAD_CODES.map((value) => one(`7.9 ${value}`, code(value))),
];

const limit = (bytes: number) => Buffer.alloc(bytes, "limit");

/** Our own table after the list of cases of the Autobahn testsuite; sizes of 9.* up to 1 MiB. */
export const FRAME_CASES: readonly FrameCase[] = [
  ...SIZES.map((size) => one(`1.1 text of ${size}`, text("*".repeat(size)))),
  one("1.1.8 text in many reads", text("*".repeat(65_536)), text("*".repeat(65_536))),
  ...SIZES.map((size) => one(`1.2 binary of ${size}`, binary(Buffer.alloc(size, 0xfe)))),
  one("2.1 a ping", ping()),
  one("2.2 with text", ping("Hello, world!")),
  one("2.3 binary", ping(Buffer.from([0, 255, 254, 253, 252, 251, 0, 255]))),
  one("2.4 of 125 octets", ping(Buffer.alloc(125, 0xfe))),
  one("2.5 too long", ping(Buffer.alloc(126, 0xfe))),
  one("2.7 a pong unasked for", pong()),
  one("2.8 with text", pong("unsolicited")),
  one("2.9 and a ping", pong("unsolicited"), ping("p")),
  one("2.10 ten pings", ...Array.from({ length: 10 }, (_, at) => ping(`p${at}`))),
  ...RESERVED,
  ...[3, 4, 5, 6, 7].map((opcode) => one(`4.1 opcode ${opcode}`, { opcode, payload: "x" }, ping())),
  ...[11, 12, 13, 14, 15].map((opcode) => one(`4.2 opcode ${opcode}`, { opcode }, text("x"))),
  ...FRAGMENTS,
  ...UTF8,
  ...CLOSES,
  ...[65_536, 262_144, 1_048_576].map((size) => one(`9.1 text of ${size}`, text(limit(size)))),
  ...[65_536, 262_144, 1_048_576].map((size) => one(`9.2 binary of ${size}`, binary(limit(size)))),
  ...[64, 1_024, 16_384].map((size) =>
    one(`9.3 text of 128 KiB by ${size}`, ...pieces(TEXT, "f".repeat(131_072), size)),
  ),
  ...[64, 1_024, 16_384].map((size) =>
    one(`9.4 binary of 128 KiB by ${size}`, ...pieces(BINARY, "b".repeat(131_072), size)),
  ),
  one("9.7 a thousand small", ...Array.from({ length: 1_000 }, () => text(limit(16)))),
  one("10.1 text in the longest form", ...pieces(TEXT, "*".repeat(65_536), 1_300)),
  one("a length in too long a form", text("x", { longForm: true })),
  one("a length that no frame has", text("x", { announced: 0x1f_ffff_ffff_ffff })),
];
