import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { freePort } from "../../daemon/free-port.ts";
import { textTable } from "../../src/core/text-table.ts";
import { pairedRatio, type Spread, spread } from "../lib/statistics.ts";
import type { FromPlane, PlaneStart, ToPlane } from "./plane-thread.ts";

/**
 * CPU time that a worker spends on a request with tracing off, at 1 % and at 100 %: a thread each, with the data path that workers
 * have, takes the same load in turns. Recorded requests have two spans, which go as far as the thread that exports them.
 */
const USAGE = `node bench/tracing/main.ts [options]

  --rounds N       rounds, of which the median counts (default 9)
  --requests N     of each turn (default 20000)
  --connections N  that send one request after the other (default 16)`;

const CASES = [
  { name: "off", sampling: null },
  { name: "1 %", sampling: 0.01 },
  { name: "100 %", sampling: 1 },
] as const;
/** `.ts` in a checkout, `.js` in the built package. */
const SCRIPT = new URL(`./plane-thread${extname(import.meta.url)}`, import.meta.url);
const WARM_UP_ROUNDS = 2;
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const REQUEST =
  "GET /api/items?page=2 HTTP/1.1\r\nHost: web\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";
/** Its caller has sampled it: as a worker's own warm-up, it compiles what records spans, which at 1 % would take very long. */
const WARM_UP_REQUEST = REQUEST.replace(
  "\r\n\r\n",
  "\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
);

interface Options {
  readonly rounds: number;
  readonly requests: number;
  readonly connections: number;
}

interface Subject {
  readonly name: string;
  readonly worker: Worker;
  readonly sockets: readonly Socket[];
  readonly micros: number[];
  spans: number;
}

/** Answers each head at once. */
async function startUpstream(): Promise<Server> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    socket.on("data", (chunk) => {
      if (chunk.includes("\r\n\r\n")) socket.write(ANSWER);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

async function startSubject(
  { name, sampling }: (typeof CASES)[number],
  upstreamPort: number,
  connections: number,
): Promise<Subject> {
  const port = await freePort("127.0.0.1", 0);
  const start: PlaneStart = { sampling, port, upstreamPort };
  const worker = new Worker(SCRIPT, { workerData: start });
  await once(worker, "message");
  const sockets = Array.from({ length: connections }, () =>
    connect({ port, host: "127.0.0.1", noDelay: true }),
  );
  await Promise.all(sockets.map((socket) => once(socket, "connect")));
  const subject: Subject = { name, worker, sockets, micros: [], spans: 0 };
  worker.on("message", (message: FromPlane) => {
    if (message.kind !== "spans") return;
    const { spans } = message;
    subject.spans += spans.length / 2;
    let bytes = 0;
    for (let at = 1; at < spans.length; at += 2) bytes += spans[at]?.length ?? 0;
    worker.postMessage({ kind: "taken", bytes } satisfies ToPlane);
  });
  return subject;
}

/** CPU time of the thread so far, in us. */
function cpuOf({ worker }: Subject): Promise<number> {
  return new Promise((resolve) => {
    const hear = (message: FromPlane) => {
      if (message.kind !== "cpu") return;
      worker.off("message", hear);
      resolve(message.micros);
    };
    worker.on("message", hear);
    worker.postMessage({ kind: "read" } satisfies ToPlane);
  });
}

/** Sends so many requests over one connection, each after the answer to the one before. */
function send(socket: Socket, request: string, count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = count;
    const settle = (error?: Error) => {
      socket.off("data", hear);
      socket.off("close", fail);
      if (error === undefined) resolve();
      else reject(error);
    };
    const fail = () => settle(new Error("the proxy closed a connection"));
    const hear = (chunk: Buffer) => {
      // The answer is small: it comes in one piece, and its content is at its end.
      if (!chunk.subarray(-2).equals(OK)) return;
      if (!chunk.subarray(0, STATUS.length).equals(STATUS)) settle(new Error(String(chunk)));
      else if (--left === 0) settle();
      else socket.write(request);
    };
    socket.on("data", hear);
    socket.on("close", fail);
    socket.write(request);
  });
}

const OK = Buffer.from("ok");
const STATUS = Buffer.from("HTTP/1.1 200");

/** CPU time of a request in us. */
async function measure(subject: Subject, requests: number, request: string): Promise<number> {
  const before = await cpuOf(subject);
  const each = Math.ceil(requests / subject.sockets.length);
  await Promise.all(subject.sockets.map((socket) => send(socket, request, each)));
  return ((await cpuOf(subject)) - before) / (each * subject.sockets.length);
}

async function compare({ rounds, requests, connections }: Options): Promise<Subject[]> {
  const upstream = await startUpstream();
  const { port } = upstream.address() as AddressInfo;
  const subjects = await Promise.all(CASES.map((one) => startSubject(one, port, connections)));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round += 1) {
    if (round === 0) for (const subject of subjects) subject.spans = 0;
    // Each is first, second and last as often as the others.
    for (let at = 0; at < subjects.length; at += 1) {
      const subject = subjects[(at + round + WARM_UP_ROUNDS) % subjects.length];
      if (subject === undefined) continue;
      const micros = await measure(subject, requests, round < 0 ? WARM_UP_REQUEST : REQUEST);
      if (round >= 0) subject.micros.push(micros);
    }
  }
  for (const { sockets, worker } of subjects) {
    for (const socket of sockets) socket.destroy();
    await worker.terminate();
  }
  upstream.close();
  return subjects;
}

function shown({ median, min, max }: Spread): string {
  return `${median.toFixed(3)} (${min.toFixed(3)}..${max.toFixed(3)})`;
}

function numberOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`not a positive number: ${text}`);
  return value;
}

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "9" },
      requests: { type: "string", default: "20000" },
      connections: { type: "string", default: "16" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const [rounds, requests] = [numberOf(values.rounds), numberOf(values.requests)];
  const subjects = await compare({ rounds, requests, connections: numberOf(values.connections) });
  const bases = subjects[0]?.micros ?? [];
  const rows = subjects.map(({ name, micros, spans }) => [
    ...[name, spread(micros).median.toFixed(1), shown(pairedRatio(micros, bases)), String(spans)],
  ]);
  const columns = [
    { title: "tracing" },
    { title: "us CPU/request", align: "right" as const },
    { title: "ratio to off (min..max)" },
    { title: "spans", align: "right" as const },
  ];
  const table = textTable(columns, rows, { width: Number.POSITIVE_INFINITY, color: false });
  console.log(table.join("\n"));
}

await main(process.argv.slice(2));
