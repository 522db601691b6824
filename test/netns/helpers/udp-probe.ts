/**
 * Measures the way to another one of its kind: sends so many numbered datagrams, one every `intervalMs`, which the
 * other one sends back. The first argument is its port. Answers when all have come back, or `waitMs` after the last.
 */
import { createSocket } from "node:dgram";
import { setTimeout as sleep } from "node:timers/promises";
import { answerLines, machineMs } from "./answer-lines.ts";

export interface ProbeReport {
  /** Numbers in the order of their return. */
  readonly order: readonly number[];
  /** There and back, of those that came back. */
  readonly leastMs: number;
  readonly averageMs: number;
}

interface Question {
  readonly host: string;
  readonly count: number;
  readonly intervalMs: number;
  readonly waitMs: number;
}

const PORT = Number(process.argv[2]);
const [QUESTION, ANSWER] = [1, 2];
const DATAGRAM_BYTES = 100;

const socket = createSocket("udp6");
let arrived: { number: number; ms: number }[] = [];

socket.on("message", (message, { address, port }) => {
  if (message.readUInt8() === ANSWER) {
    const [number, sentMs] = [message.readUInt32BE(1), message.readDoubleBE(5)];
    arrived.push({ number, ms: machineMs() - sentMs });
    return;
  }
  message.writeUInt8(ANSWER);
  socket.send(message, port, address);
});
await new Promise<void>((resolve) => socket.bind(PORT, "::", resolve));

answerLines(async ({ host, count, intervalMs, waitMs }: Question): Promise<ProbeReport> => {
  arrived = [];
  const address = host.includes(":") ? host : `::ffff:${host}`;
  for (let number = 0; number < count; number += 1) {
    const message = Buffer.alloc(DATAGRAM_BYTES);
    message.writeUInt8(QUESTION);
    message.writeUInt32BE(number, 1);
    message.writeDoubleBE(machineMs(), 5);
    socket.send(message, PORT, address);
    await sleep(intervalMs);
  }
  const endMs = machineMs() + waitMs;
  const isBack = () => new Set(arrived.map(({ number }) => number)).size === count;
  while (!isBack() && machineMs() < endMs) await sleep(1);
  const times = arrived.map(({ ms }) => ms);
  const averageMs = times.reduce((sum, ms) => sum + ms, 0) / times.length;
  return {
    order: arrived.map(({ number }) => number),
    leastMs: Math.min(...times),
    averageMs,
  };
});
