import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { freePort } from "../../daemon/free-port.ts";
import { textTable } from "../../src/core/text-table.ts";
import { spread } from "../lib/statistics.ts";
import type { FromPlane, PlaneStart, Seeing, ToPlane } from "./plane-thread.ts";

/** One way to see traffic, or to see none. */
export interface Case extends Seeing {
  readonly name: string;
}

/** `.ts` in a checkout, `.js` in the built package. */
const SCRIPT = new URL(`./plane-thread${extname(import.meta.url)}`, import.meta.url);
/** Of each, before anything is measured: half of them as its caller sampled them. */
const WARM_UP_REQUESTS = 10_000;
const ANSWER = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok";
const REQUEST =
  "GET /api/items?page=2 HTTP/1.1\r\nHost: web\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n";
/** Its caller has sampled it: as a worker's own warm-up, it compiles what records spans, which at 1 % would take very long. */
const WARM_UP_REQUEST = REQUEST.replace(
  "\r\n\r\n",
  "\r\nTraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n",
);

interface Options {
  readonly instances: number;
  readonly rounds: number;
  readonly requests: number;
  readonly connections: number;
}

interface Result {
  readonly name: string;
  /** CPU time of a request in each turn. */
  readonly micros: number[];
  spans: number;
}

interface Subject extends Result {
  readonly worker: Worker;
  readonly sockets: readonly Socket[];
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
  { name, ...seeing }: Case,
  upstreamPort: number,
  connections: number,
): Promise<Subject> {
  const port = await freePort("127.0.0.1", 0);
  const start: PlaneStart = { ...seeing, port, upstreamPort };
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

/** Gives all the same load in turns: what changes on the machine meets all. */
async function compareOnce(
  cases: readonly Case[],
  upstreamPort: number,
  { rounds, requests, connections }: Options,
): Promise<Subject[]> {
  const subjects = await Promise.all(
    cases.map((one) => startSubject(one, upstreamPort, connections)),
  );
  const warmUpRounds = Math.ceil(WARM_UP_REQUESTS / requests);
  for (let round = -warmUpRounds; round < rounds; round += 1) {
    if (round === 0) for (const subject of subjects) subject.spans = 0;
    // Each is first, second and last as often as the others.
    for (let at = 0; at < subjects.length; at += 1) {
      const subject = subjects[(at + round + warmUpRounds) % subjects.length];
      if (subject === undefined) continue;
      const request = round < 0 && round % 2 === 0 ? WARM_UP_REQUEST : REQUEST;
      const micros = await measure(subject, requests, request);
      if (round >= 0) subject.micros.push(micros);
    }
  }
  for (const { sockets, worker } of subjects) {
    for (const socket of sockets) socket.destroy();
    await worker.terminate();
  }
  return subjects;
}

/** Threads with the same code differ by what their compilers made of it: so each case has several, one after the other. */
async function compare(cases: readonly Case[], options: Options): Promise<Result[]> {
  const upstream = await startUpstream();
  const { port } = upstream.address() as AddressInfo;
  const results = cases.map(({ name }): Result => ({ name, micros: [], spans: 0 }));
  for (let instance = 0; instance < options.instances; instance += 1) {
    for (const [at, subject] of (await compareOnce(cases, port, options)).entries()) {
      results[at]?.micros.push(...subject.micros);
      if (results[at] !== undefined) results[at].spans += subject.spans;
    }
  }
  upstream.close();
  return results;
}

/** Median and quartiles: single turns are short, and what disturbs them makes extremes that say nothing. */
function shown(ratios: readonly number[]): string {
  const sorted = ratios.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.round(share * (sorted.length - 1))] ?? 0).toFixed(3);
  return `${spread(sorted).median.toFixed(3)} (${at(0.25)}..${at(0.75)})`;
}

function numberOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`not a positive number: ${text}`);
  return value;
}

export interface Comparison {
  readonly command: string;
  /** Title of the first column. */
  readonly title: string;
  /** The first is what the others are compared with. */
  readonly cases: readonly Case[];
}

/** Measures by the flags of a command line, and prints a table: CPU time of a request, and its ratio to the first case. */
export async function runComparison(
  { command, title, cases }: Comparison,
  args: readonly string[],
): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      instances: { type: "string", default: "5" },
      rounds: { type: "string", default: "21" },
      requests: { type: "string", default: "1000" },
      connections: { type: "string", default: "16" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(`${command} [options]

  --instances N    threads of each, one after the other (default 5)
  --rounds N       rounds of each instance; the median of all counts (default 21)
  --requests N     of each turn (default 1000): short ones meet the same machine
  --connections N  that send one request after the other (default 16)`);
    return;
  }
  const [rounds, requests] = [numberOf(values.rounds), numberOf(values.requests)];
  const [connections, instances] = [numberOf(values.connections), numberOf(values.instances)];
  const results = await compare(cases, { instances, rounds, requests, connections });
  const bases = results[0]?.micros ?? [];
  const rows = results.map(({ name, micros, spans }) => [
    ...[
      name,
      spread(micros).median.toFixed(1),
      shown(micros.map((each, at) => each / (bases[at] ?? Number.NaN))),
      String(spans),
    ],
  ]);
  const columns = [
    { title },
    { title: "us CPU/request", align: "right" as const },
    { title: "ratio to the first (quartiles)" },
    { title: "spans", align: "right" as const },
  ];
  const table = textTable(columns, rows, { width: Number.POSITIVE_INFINITY, color: false });
  console.log(table.join("\n"));
}
