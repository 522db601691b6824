import { parseArgs } from "node:util";
import { type Random, seeded } from "../../src/core/random.ts";
import { textTable } from "../../src/core/text-table.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../src/http/h2/hpack/encoder.ts";
import { pairedRatio, spread } from "../lib/statistics.ts";
import { HuffmanWriter } from "./huffman-writer.ts";

/**
 * CPU time of the field block of one message, with the very code of the data path and without sockets. A pass is the
 * life of one connection: a new decoder or encoder goes through all its blocks. Values are texts of their own in each
 * message, as they are when they come from another connection.
 */
const USAGE = `node bench/micro/hpack.ts [options]

  --rounds N    rounds, of which the median counts (default 9)
  --passes N    connections of a round (default 60; the clock of CPU time ticks in 4 ms)
  --blocks N    messages of a connection (default 2000)

  plain      as the encoder does it: dynamic table, strings as they are
  no table   the same without the dynamic table
  huffman    as plain, but strings Huffman-coded where it makes them shorter; to encode, an upper bound`;

const WARM_ROUNDS = 3;
const LIMITS = { tableBytes: 4_096, listBytes: 65_536, fields: 200 };

const SHAPES = ["request", "grpc request", "response"] as const;
const VARIANTS = ["plain", "no table", "huffman"] as const;
type Shape = (typeof SHAPES)[number];
type Variant = (typeof VARIANTS)[number];

interface Options {
  readonly rounds: number;
  readonly passes: number;
  readonly blocks: number;
}

interface Subject {
  readonly shape: Shape;
  readonly variant: Variant;
  readonly lists: readonly string[][];
  readonly blocks: readonly Buffer[];
  /** Octets of a block, on average. */
  readonly bytes: number;
  /** Nanoseconds a block, one value a round. */
  readonly decode: number[];
  readonly encode: number[];
}

function parseOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "9" },
      passes: { type: "string", default: "60" },
      blocks: { type: "string", default: "2000" },
    },
  });
  const number = (text: string) => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < 1) throw new Error(`not a positive number: ${text}`);
    return value;
  };
  return {
    rounds: number(values.rounds),
    passes: number(values.passes),
    blocks: number(values.blocks),
  };
}

function hex(random: Random, digits: number): string {
  return Array.from({ length: digits }, () => Math.floor(random() * 16).toString(16)).join("");
}

/** The fields of one message: what stays, and what is new in each. */
function fieldsOf(shape: Shape, random: Random, at: number): string[] {
  const trace = `00-${hex(random, 32)}-${hex(random, 16)}-01`;
  const id = `${hex(random, 8)}-${hex(random, 4)}-4${hex(random, 3)}-8${hex(random, 3)}-${hex(random, 12)}`;
  if (shape === "request") {
    return [
      ...[":method", "GET", ":scheme", "http", ":authority", "cart.shop.svc.cluster.local:8080"],
      ...[":path", `/api/v1/orders/${1_000_000 + Math.floor(random() * 9e6)}?expand=items`],
      ...["user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36", "accept", "*/*"],
      ...["accept-encoding", "gzip, deflate, br", "accept-language", "en-GB,en;q=0.9"],
      ...["authorization", "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.POstGetfAyt"],
      ...["x-forwarded-proto", "https", "x-request-id", id, "traceparent", trace],
    ];
  }
  if (shape === "grpc request") {
    return [
      ...[":method", "POST", ":scheme", "http", ":path", "/shop.v1.Cart/AddItem"],
      ...[":authority", "cart.shop:50051", "te", "trailers", "content-type", "application/grpc"],
      ...["user-agent", "grpc-go/1.68.0", "grpc-timeout", `${1_000 + (at % 900)}m`],
      ...["traceparent", trace],
    ];
  }
  const date = new Date(1_795_286_400_000 + at * 2).toUTCString();
  return [
    ...[":status", "200", "content-type", "application/json; charset=utf-8", "date", date],
    ...["content-length", String(100 + Math.floor(random() * 5_000)), "server", "envoy"],
    ...["cache-control", "no-store", "vary", "Accept-Encoding", "x-request-id", id],
  ];
}

/** A text that is no other's, as a decoder makes it. */
function own(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

function encoderOf(variant: Variant): HpackEncoder {
  return new HpackEncoder(variant === "no table" ? { tableBytes: 0 } : {});
}

function subjectOf(shape: Shape, variant: Variant, { blocks: count }: Options): Subject {
  const random = seeded(1);
  const lists = Array.from({ length: count }, (_, at) =>
    fieldsOf(shape, random, at).map((text, index) => (index % 2 === 0 ? text : own(text))),
  );
  const encoder = encoderOf(variant);
  const writer = new HuffmanWriter();
  const blocks = lists.map((fields) => {
    const end = encoder.encode(fields, out, 0);
    return variant === "huffman" ? writer.recode(out, end) : Buffer.from(out.subarray(0, end));
  });
  const bytes = blocks.reduce((sum, block) => sum + block.length, 0) / count;
  return { shape, variant, lists, blocks, bytes, decode: [], encode: [] };
}

const out = Buffer.alloc(16_384);

function decodeAll({ blocks, lists }: Subject): void {
  const decoder = new HpackDecoder(LIMITS);
  for (let at = 0; at < blocks.length; at++) {
    const block = blocks[at]!;
    const fields = decoder.decode(block, 0, block.length);
    if (fields.length !== lists[at]!.length) throw new Error("a block was decoded wrongly");
  }
}

/** Where strings are to be Huffman-coded, they are coded behind the block: what the encoder would do in place of a copy. */
function encodeAll({ lists, blocks, variant }: Subject): void {
  const encoder = encoderOf(variant);
  const writer = variant === "huffman" ? new HuffmanWriter() : null;
  for (let at = 0; at < lists.length; at++) {
    const fields = lists[at]!;
    if (HpackEncoder.maxBytes(fields) > out.length) throw new Error("a block is too large");
    const end = encoder.encode(fields, out, 0);
    const bytes = writer === null ? end : writer.rewrite(out, end);
    if (bytes !== blocks[at]!.length) throw new Error("a block was encoded wrongly");
  }
}

/** CPU time of a block in nanoseconds. */
function time(run: (subject: Subject) => void, subject: Subject, { passes }: Options): number {
  const before = process.threadCpuUsage();
  for (let pass = 0; pass < passes; pass++) run(subject);
  const { user, system } = process.threadCpuUsage(before);
  return ((user + system) * 1_000) / (passes * subject.blocks.length);
}

/** Everybody in turn, round after round, so that what changes on the machine meets all of them. */
function measure(subjects: readonly Subject[], options: Options): void {
  for (let round = -WARM_ROUNDS; round < options.rounds; round++) {
    for (const subject of subjects) {
      const decode = time(decodeAll, subject, options);
      const encode = time(encodeAll, subject, options);
      if (round < 0) continue;
      subject.decode.push(decode);
      subject.encode.push(encode);
    }
  }
}

function report(subjects: readonly Subject[]): string[] {
  const rows = subjects.map((subject) => {
    const { shape, variant, bytes } = subject;
    const base = subjects.find((other) => other.shape === shape)!;
    const cell = (step: "decode" | "encode") => {
      const { median, min } = spread(subject[step]);
      const ratio = pairedRatio(subject[step], base[step]).median;
      return [median.toFixed(0), min.toFixed(0), `${ratio.toFixed(2)}x`];
    };
    return [shape, variant, bytes.toFixed(0), ...cell("decode"), ...cell("encode")];
  });
  const right = { align: "right" } as const;
  const titles = ["bytes", "decode ns", "min", "ratio", "encode ns", "min", "ratio"];
  return textTable(
    [{ title: "block" }, { title: "variant" }, ...titles.map((title) => ({ title, ...right }))],
    rows,
    { width: Number.POSITIVE_INFINITY, color: false },
  );
}

if (process.argv.includes("--help")) console.log(USAGE);
else {
  const options = parseOptions(process.argv.slice(2));
  const subjects = SHAPES.flatMap((shape) =>
    VARIANTS.map((variant) => subjectOf(shape, variant, options)),
  );
  measure(subjects, options);
  for (const line of report(subjects)) console.log(line);
}
