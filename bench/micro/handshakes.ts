import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { MeshError } from "../../src/core/errors.ts";
import { textTable } from "../../src/core/text-table.ts";
import type { Conn } from "../../src/http/conn.ts";
import { dial } from "../../src/proxy/upstream/transport/dial.ts";
import { dialMesh } from "../../src/proxy/upstream/transport/mesh-dial.ts";
import { spread } from "../lib/statistics.ts";
import { CALLED, CALLER, clock, contextsOf, twoHosts } from "./handshake-lab.ts";

/**
 * What it costs to open a connection to another host, with the very code of the data path on both sides: TCP alone, with
 * a full TLS handshake and CONNECT, and with a resumed one. Caller and called are a thread each.
 */
const USAGE = `node bench/micro/handshakes.ts [options]

  --dials N       dials of a kind in a round (default 500)
  --at-once N     dials under way at a time (default 8)
  --rounds N      rounds, of which the median counts (default 9)`;

const KINDS = ["tcp", "full", "resumed"] as const;
type Kind = (typeof KINDS)[number];

interface Ports {
  readonly mesh: number;
  readonly plain: number;
}

interface Reading {
  readonly perSecond: number;
  readonly callerMicros: number;
  readonly calledMicros: number;
}

const { caller, called } = twoHosts();
const contexts = contextsOf(caller);
const deadlines = new Deadlines(clock);
const deps = { clock, deadlines, connectMs: 5_000, handshakeMs: 10_000, contexts };

let hosts = 0;

function freshHost(): string {
  hosts += 1;
  return `127.1.${hosts >> 8}.${hosts & 0xff}`;
}

/** Resolves when the connection stands; it is closed at once. */
function open(kind: Kind, ports: Ports, counted = true): Promise<void> {
  return new Promise((resolve, reject) => {
    const handler = {
      onConnected: (conn: Conn) => {
        const isResumed = kind !== "tcp" && (conn.socket as TLSSocket).isSessionReused();
        if (isResumed !== (kind === "resumed") && counted) reject(new Error(`not ${kind}`));
        conn.handler = { onBytes() {}, onDrain() {}, onFin() {}, onClose: () => resolve() };
        conn.reset();
      },
      onDialFailed: (error: MeshError) => reject(error),
    };
    const host = "127.0.0.1";
    if (kind === "tcp") {
      dial({ host, port: ports.plain }, handler, deps);
      return;
    }
    const identities = { source: CALLER, destination: CALLED, client: "10.0.0.1" };
    // A place where no session can be resumed is one that was never dialled; all of 127.0.0.0/8 is this machine.
    const via = { host: kind === "full" ? freshHost() : host, port: ports.mesh };
    dialMesh({ host, port: 80, via, protocol: "tcp", ...identities }, handler, deps);
  });
}

async function cpuOf(worker: Worker): Promise<NodeJS.CpuUsage> {
  worker.postMessage("cpu");
  const [usage] = await once(worker, "message");
  return usage as NodeJS.CpuUsage;
}

function micros(after: NodeJS.CpuUsage, before: NodeJS.CpuUsage): number {
  return after.user + after.system - before.user - before.system;
}

async function measure(
  kind: Kind,
  { worker, ports, dials, atOnce }: { worker: Worker; ports: Ports; dials: number; atOnce: number },
): Promise<Reading> {
  const [before, calledBefore] = [process.threadCpuUsage(), await cpuOf(worker)];
  const startMs = clock.now();
  let left = dials;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left-- > 0) await open(kind, ports);
    }),
  );
  const seconds = (clock.now() - startMs) / 1_000;
  const [after, calledAfter] = [process.threadCpuUsage(), await cpuOf(worker)];
  return {
    perSecond: dials / seconds,
    callerMicros: micros(after, before) / dials,
    calledMicros: micros(calledAfter, calledBefore) / dials,
  };
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      ...{ help: { type: "boolean", default: false } },
      ...{ dials: { type: "string", default: "500" } },
      ...{ "at-once": { type: "string", default: "8" } },
      ...{ rounds: { type: "string", default: "9" } },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const worker = new Worker(new URL("./handshake-server.ts", import.meta.url), {
    workerData: called,
  });
  const [ports] = (await once(worker, "message")) as [Ports];
  const setting = {
    ...{ worker, ports, dials: Number(values.dials), atOnce: Number(values["at-once"]) },
  };
  // Leaves the session behind that the others resume.
  await open("resumed", ports, false);
  const readings: Record<Kind, Reading[]> = { tcp: [], full: [], resumed: [] };
  // The first round warms up.
  for (let round = -1; round < Number(values.rounds); round++) {
    for (const kind of KINDS) {
      const reading = await measure(kind, setting);
      if (round >= 0) readings[kind].push(reading);
    }
  }
  const median = (kind: Kind, of: (reading: Reading) => number) =>
    spread(readings[kind].map(of)).median.toFixed(0);
  const rows = KINDS.map((kind) => [
    kind,
    median(kind, (one) => one.perSecond),
    median(kind, (one) => one.callerMicros),
    median(kind, (one) => one.calledMicros),
  ]);
  const right = { align: "right" } as const;
  const titles = ["a second", "caller us", "called us"].map((title) => ({ title, ...right }));
  const size = { width: Number.POSITIVE_INFINITY, color: false };
  for (const line of textTable([{ title: "dial" }, ...titles], rows, size)) console.log(line);
  deadlines.close();
  await worker.terminate();
}

await main();
