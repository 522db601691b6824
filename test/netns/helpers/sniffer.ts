import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { Program } from "./program.ts";
import { ScratchFolder } from "./scratch-folder.ts";

/** One direction of a TCP connection, as it was seen on a wire. */
export interface SniffedStream {
  readonly from: string;
  readonly to: string;
  readonly ports: readonly [number, number];
  readonly bytes: Buffer;
}

/** tcpdump on an interface of a namespace. It sees every byte, and understands nothing. */
export class Sniffer {
  readonly #program: Program;
  readonly #folder = new ScratchFolder();
  readonly #path: string;

  private constructor(namespace: Namespace, device: string) {
    this.#path = join(this.#folder.path, "wire.pcap");
    const args = ["-i", device, "-s", "0", "-B", "16384", "-U", "--immediate-mode", "-Z", "root"];
    this.#program = new Program(namespace, "tcpdump", [...args, "-w", this.#path, "tcp"]);
  }

  /** Resolves when it sees what passes. */
  static async start(namespace: Namespace, device: string): Promise<Sniffer> {
    const sniffer = new Sniffer(namespace, device);
    await sniffer.#program.said(/listening on/);
    return sniffer;
  }

  /** Ends, and tells all that it has seen. */
  async stop(): Promise<SniffedStream[]> {
    await this.#program.end("SIGINT");
    const streams = streamsOf(readFileSync(this.#path));
    this.#folder.remove();
    return streams;
  }
}

/** Does the text stand anywhere in the streams? */
export function passed(streams: readonly SniffedStream[], text: string): boolean {
  return streams.some(({ bytes }) => bytes.includes(text));
}

const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const ETHERNET_HEADER = 14;

interface Segment {
  readonly at: number;
  readonly bytes: Buffer;
}

/** Of a pcap file (little-endian, Ethernet): streams that carry anything. A last record may be incomplete. */
function streamsOf(file: Buffer): SniffedStream[] {
  const found = new Map<string, { from: string; to: string; ports: [number, number] }>();
  const segments = new Map<string, Segment[]>();
  for (let at = PCAP_HEADER; at + RECORD_HEADER <= file.length; ) {
    const length = file.readUInt32LE(at + 8);
    const frame = file.subarray(at + RECORD_HEADER, at + RECORD_HEADER + length);
    at += RECORD_HEADER + length;
    const packet = frame.length === length ? packetOf(frame) : null;
    if (packet === null || packet.bytes.length === 0) continue;
    const { from, to, ports } = packet;
    const key = `${from} ${ports[0]} ${to} ${ports[1]}`;
    found.set(key, { from, to, ports });
    segments.set(key, [...(segments.get(key) ?? []), packet]);
  }
  return [...found].map(([key, facts]) => ({ ...facts, bytes: joined(segments.get(key) ?? []) }));
}

function packetOf(frame: Buffer) {
  const type = frame.readUInt16BE(12);
  const ip = frame.subarray(ETHERNET_HEADER);
  const isFour = type === 0x0800;
  if (!isFour && type !== 0x86dd) return null;
  const start = isFour ? (ip.readUInt8(0) & 15) * 4 : 40;
  const end = isFour ? ip.readUInt16BE(2) : 40 + ip.readUInt16BE(4);
  const tcp = ip.subarray(start, end);
  const addresses = isFour
    ? [ip.subarray(12, 16), ip.subarray(16, 20)]
    : [ip.subarray(8, 24), ip.subarray(24, 40)];
  const [from = "", to = ""] = addresses.map((bytes) => bytes.toString("hex"));
  const ports: [number, number] = [tcp.readUInt16BE(0), tcp.readUInt16BE(2)];
  const bytes = tcp.subarray((tcp.readUInt8(12) >> 4) * 4);
  return { from, to, ports, at: tcp.readUInt32BE(4), bytes };
}

/** Without what was sent again. Sequence numbers that wrap are beyond what tests send. */
function joined(segments: readonly Segment[]): Buffer {
  const sorted = [...segments].sort((a, b) => a.at - b.at);
  const parts: Buffer[] = [];
  let next = sorted[0]?.at ?? 0;
  for (const { at, bytes } of sorted) {
    const fresh = bytes.subarray(Math.max(0, next - at));
    parts.push(fresh);
    next = Math.max(next, at + bytes.length);
  }
  return Buffer.concat(parts);
}

/** Types of TLS records (RFC 8446 section 5.1). */
const RECORDS = new Set([20, 21, 22, 23]);
const MAX_RECORD = 16_384 + 256;

/** Is this nothing but TLS records, but for a last one that is incomplete? */
export function isTls({ bytes }: SniffedStream): boolean {
  for (let at = 0; at + 5 <= bytes.length; ) {
    const length = bytes.readUInt16BE(at + 3);
    if (!RECORDS.has(bytes.readUInt8(at)) || bytes.readUInt8(at + 1) !== 3) return false;
    if (length > MAX_RECORD) return false;
    at += 5 + length;
  }
  return true;
}
