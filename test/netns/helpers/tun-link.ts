/**
 * A link of layer 3 between two network interfaces that it makes, by the names of its first two arguments, and that
 * its owner moves to where they belong; the third one is the seed of chance. A question changes the shape of one
 * direction (0: from the first to the second interface) or of both, and is answered with what has happened in both.
 */
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { LinkDirection, type LinkShape } from "../../helpers/link-shape.ts";
import { Tun, untilReadable } from "../../helpers/tun.ts";

/** The kernel looks after this time at the latest whether there is anything to read: a bound on the end. */
const POLL_MS = 100;
/** Packets that are read before those that are due get their turn. */
const BATCH = 64;

interface Question {
  readonly id: number;
  readonly shape?: LinkShape;
  /** Absent: both. */
  readonly direction?: 0 | 1;
}

const [nameA = "", nameB = "", seed = "1"] = process.argv.slice(2);
const ends = [new Tun(nameA), new Tun(nameB)] as const;
const directions = [new LinkDirection(Number(seed)), new LinkDirection(Number(seed) + 1)] as const;
let timer: NodeJS.Timeout | null = null;

function deliver(): void {
  timer = null;
  const nowMs = performance.now();
  for (const [from, direction] of directions.entries()) {
    for (const packet of direction.due(nowMs)) ends[from === 0 ? 1 : 0].write(packet);
  }
  const next = directions.map(({ nextDueMs }) => nextDueMs).filter((due) => due !== null);
  if (next.length > 0) timer = setTimeout(deliver, Math.min(...next) - performance.now());
}

function take(): void {
  for (const [index, end] of ends.entries()) {
    for (let count = 0; count < BATCH; count += 1) {
      const packet = end.read();
      if (packet === null) break;
      directions[index]?.take(packet, performance.now());
    }
  }
  if (timer !== null) clearTimeout(timer);
  deliver();
}

const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  const { id, shape, direction }: Question = JSON.parse(line);
  for (const [index, one] of directions.entries()) {
    if (shape !== undefined && (direction ?? index) === index) one.shape = shape;
  }
  console.log(JSON.stringify({ id, tallies: directions.map(({ tally }) => tally) }));
});
// By a signal: an orderly end would wait for the thread that waits for packets.
lines.on("close", () => process.kill(process.pid, "SIGKILL"));
console.log("ready");

while (true) {
  await untilReadable(ends, POLL_MS);
  take();
}
