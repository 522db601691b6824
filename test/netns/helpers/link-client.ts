/**
 * Clients of `link-app.ts` in a container that know nothing of a proxy. Argument: their `Places`, as JSON. They do what a
 * question says: calls of every kind at once, calls without an end, calls that are held open, small calls one after the other.
 */
import type { EventEmitter } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import type { ClientDuplexStream, ClientReadableStream, StatusObject } from "@grpc/grpc-js";
import { answerLines, machineMs } from "./answer-lines.ts";
import { content } from "./content.ts";
import { dial, LinkCalls, type Places } from "./link-calls.ts";
import type { CallReport, Fate, LoopReport, SmallReport } from "./link-reports.ts";

type Question =
  | { readonly op: "mix"; readonly many: number; readonly large: number; readonly only?: string[] }
  | { readonly op: "loop"; readonly kinds: readonly string[]; readonly at: number }
  | { readonly op: "report"; readonly stop?: boolean }
  | { readonly op: "hold" | "fates" | "resume" }
  | { readonly op: "stuff"; readonly bytes: number }
  | { readonly op: "small"; readonly rounds: number }
  | { readonly op: "calls"; readonly count: number; readonly prefix: string };

const places: Places = JSON.parse(process.argv[2] ?? "");
/** Whatever is not over then has failed. */
const CALL_MS = 25_000;

async function inTime<T>(what: string, call: Promise<T>, timeMs = CALL_MS): Promise<T> {
  const timer = Promise.withResolvers<never>();
  const timeout = setTimeout(() => timer.reject(new Error(`${what}: no end`)), timeMs);
  try {
    return await Promise.race([call, timer.promise]);
  } finally {
    clearTimeout(timeout);
  }
}

type Kinds = Record<string, (at: number) => Promise<unknown>>;

/** Each kind of call; `at` tells those of one kind apart. */
function kindsOf(calls: LinkCalls, large: number): Kinds {
  const sizeOf = (at: number) => 1 + ((at * 997) % 6_000);
  return {
    "h2 echo": (at) => calls.echo(2, sizeOf(at), at),
    "h2 download": (at) => calls.download(2, large + at, at),
    "h2 upload": (at) => calls.upload(2, large + at, at),
    "h1 echo": (at) => calls.echo(1, sizeOf(at), at),
    "h1 download": (at) => calls.download(1, large + at, at),
    "h1 upload": (at) => calls.upload(1, large + at, at),
    "grpc unary": (at) => calls.unary(sizeOf(at), at),
    "grpc expand": (at) => calls.expand(20 + at, 2_000),
    "grpc collect": (at) => calls.collect(20 + at, 2_000),
    "grpc chat": (at) => calls.chat(20 + at, 1_000),
    "grpc drip": () => calls.expand(12, 300, 50),
    "h2 get": (at) => calls.download(2, 100, at),
    "h1 get": (at) => calls.download(1, 100, at),
    websocket: (at) => calls.webSocket(8, 1_500 + at),
    connect: (at) => calls.tunnel(20_000 + at, at),
    tcp: (at) => calls.opaque(20_000 + at, at),
    "tcp first": (at) => calls.opaqueFirst(20_000, at),
  };
}

const MANY = new Set(["h2 echo", "h1 echo", "grpc unary"]);

/** Calls of all kinds at once: so `many` of the small ones, four of each of the others. */
async function mix(many: number, large: number, only?: readonly string[]): Promise<CallReport> {
  const calls = new LinkCalls(places);
  const kinds = kindsOf(calls, large);
  const done: Record<string, number> = {};
  const failures: string[] = [];
  const wanted = only ?? Object.keys(kinds);
  const startMs = machineMs();
  const all = wanted.flatMap((kind) =>
    Array.from({ length: MANY.has(kind) ? many : 4 }, async (_, at) => {
      try {
        await inTime(kind, kinds[kind]!(at));
        done[kind] = (done[kind] ?? 0) + 1;
      } catch (error) {
        failures.push(`${kind}: ${String(error)}`);
      }
    }),
  );
  await Promise.all(all);
  calls.close();
  return { done, failures, ms: Math.round(machineMs() - startMs) };
}

const emptyReport = () => ({
  done: {} as Record<string, number>,
  failures: [] as string[],
  servers: {} as Record<string, number>,
});

/** Calls without end, until it is told. */
class Loop {
  readonly #calls = new LinkCalls(places);
  readonly #running: readonly Promise<void>[];
  #stopping = false;
  #report = emptyReport();

  constructor(kinds: readonly string[], count: number) {
    const known = kindsOf(this.#calls, 1_000);
    this.#running = kinds.flatMap((kind) =>
      Array.from({ length: count }, () => this.#loop(kind, known[kind]!)),
    );
  }

  async #loop(kind: string, call: Kinds[string]): Promise<void> {
    for (let at = 0; !this.#stopping; at++) {
      try {
        const server = await inTime(kind, call(at));
        const report = this.#report;
        report.done[kind] = (report.done[kind] ?? 0) + 1;
        if (typeof server === "string") report.servers[server] = (report.servers[server] ?? 0) + 1;
      } catch (error) {
        this.#report.failures.push(`${kind}: ${String(error)}`);
      }
      await sleep(5);
    }
  }

  /** What has happened since the last one. */
  report(): LoopReport {
    const report = this.#report;
    this.#report = emptyReport();
    return report;
  }

  async stop(): Promise<LoopReport> {
    this.#stopping = true;
    await Promise.all(this.#running);
    this.#calls.close();
    return this.report();
  }
}

let held: { calls: LinkCalls; fates: { kind: string; end: Promise<Fate> }[] } | null = null;

/** Opens a call of each kind that goes on for very long, and waits until something has come of each. */
async function hold(): Promise<object> {
  const calls = new LinkCalls(places);
  const fates: { kind: string; end: Promise<Fate> }[] = [];
  const begun: Promise<unknown>[] = [];
  const watch = (kind: string, isBegun: Promise<unknown>, end: Promise<string>): void => {
    begun.push(inTime(kind, isBegun));
    fates.push({ kind, end: end.then((how) => ({ kind, how, atMs: machineMs() })) });
  };
  const drip = "/drip/100000/20";
  const h2 = calls.h2.session.request({ ":path": drip });
  watch("h2", first(h2, "data"), overOf(h2));
  const waiting = calls.h2.session.request({ ":path": "/drip/1/3600000" });
  watch("h2 without an answer", Promise.resolve(), statusOf(waiting));
  const h1 = await calls.h1Begin(drip);
  watch("h1", first(h1, "data"), overOf(h1));
  const wish = Buffer.from(JSON.stringify({ count: 100_000, bytes: 300, pauseMs: 20 }));
  const expanding = calls.grpc.expanding(wish);
  watch("grpc expand", first(expanding, "data"), grpcEnd(expanding));
  const chat = calls.grpc.chat();
  const chatted = first(chat, "data");
  chat.write(content(10, 1));
  watch("grpc chat", chatted, grpcEnd(chat));
  const webSocket = await calls.openWebSocket();
  watch("websocket", Promise.resolve(), overOf(webSocket));
  const tunnel = await calls.openTunnel();
  watch("connect", Promise.resolve(), overOf(tunnel));
  const socket = dial(places.echo);
  socket.write("x");
  // It ends alone on either side: what the other side says is all that can be waited for.
  const over = Promise.race([overOf(socket), first(socket, "end").then(() => "ended")]);
  watch("tcp", first(socket, "data"), over);
  held = { calls, fates };
  await Promise.all(begun);
  return {};
}

function first(emitter: EventEmitter, event: string): Promise<void> {
  return new Promise((resolve) => emitter.on(event, () => resolve()));
}

/** Until it is closed: with an error's code, a WebSocket's close code, or without anything that says that it broke. */
function overOf(emitter: EventEmitter): Promise<string> {
  let how = "closed";
  return new Promise((resolve) => {
    emitter.on("error", (error: Error & { code?: string }) => {
      how = String(error.code ?? error.message);
    });
    emitter.on("close", (code: unknown) => {
      resolve(typeof code === "number" ? `closed with code ${code}` : how);
    });
  });
}

function statusOf(emitter: EventEmitter): Promise<string> {
  const over = overOf(emitter);
  return new Promise((resolve) => {
    emitter.on("response", (fields: Record<string, string>) =>
      resolve(`${fields[":status"]} ${fields["x-hostmesh-error"]}`),
    );
    void over.then(resolve);
  });
}

function grpcEnd(call: ClientReadableStream<Buffer> | ClientDuplexStream<Buffer, Buffer>) {
  call.on("error", () => undefined);
  return new Promise<string>((resolve) => {
    call.on("status", ({ code }: StatusObject) => resolve(`status ${code}`));
  });
}

async function fates(): Promise<{ fates: readonly Fate[] }> {
  const all = (held?.fates ?? []).map(({ kind, end }) =>
    inTime(kind, end).catch((error: unknown) => ({ kind, how: String(error), atMs: 0 })),
  );
  const ended = await Promise.all(all);
  held?.calls.close();
  held = null;
  return { fates: ended };
}

let stuffed: { calls: LinkCalls; resume: () => Promise<number | string>[] } | null = null;

/** Opens large downloads of which nothing is read beyond what clients read by themselves. */
async function stuff(bytes: number): Promise<object> {
  const calls = new LinkCalls(places);
  const path = `/content/${bytes}/1`;
  const h2 = calls.h2.session.request({ ":path": path });
  const [h1] = await Promise.all([calls.h1Begin(path), first(h2, "response")]);
  const socket = dial(places.last);
  await first(socket, "connect");
  socket.end(content(bytes, 3));
  const wish = Buffer.from(JSON.stringify({ count: 16, bytes: bytes / 16, pauseMs: 0 }));
  const expanding = calls.grpc.expanding(wish);
  await first(expanding, "metadata");
  const readables = [h2, h1, socket, expanding];
  for (const readable of readables) readable.on("error", () => undefined);
  const resume = () => readables.map(readLength);
  stuffed = { calls, resume };
  return {};
}

async function readLength(readable: AsyncIterable<Buffer>): Promise<number | string> {
  let length = 0;
  try {
    for await (const part of readable) length += part.length;
    return length;
  } catch (error) {
    return `${error} after ${length} bytes`;
  }
}

async function resume(): Promise<object> {
  const all = (stuffed?.resume() ?? []).map((one) => inTime("what was not read", one));
  const read = await Promise.all(all.map((one) => one.catch(String)));
  stuffed?.calls.close();
  stuffed = null;
  return { read };
}

/** Small calls one after the other, of four kinds beside each other: how long the slowest of each took. */
async function small(rounds: number): Promise<SmallReport> {
  const calls = new LinkCalls(places);
  const slowestMs: Record<string, number> = {};
  const failures: string[] = [];
  const kinds: Kinds = {
    h2: (at) => calls.echo(2, 200, at),
    h1: (at) => calls.echo(1, 200, at),
    grpc: (at) => calls.unary(200, at),
    tcp: (at) => calls.opaque(200, at),
  };
  const run = async ([kind, call]: [string, Kinds[string]]) => {
    for (let at = 0; at < rounds; at++) {
      const startMs = machineMs();
      try {
        await inTime(kind, call(at), 10_000);
      } catch (error) {
        failures.push(`${kind}: ${String(error)}`);
        return;
      }
      slowestMs[kind] = Math.round(Math.max(slowestMs[kind] ?? 0, machineMs() - startMs));
    }
  };
  await Promise.all(Object.entries(kinds).map(run));
  calls.close();
  return { slowestMs, failures };
}

/** So many POSTs at once, each with a name of its own. */
async function namedCalls(count: number, prefix: string): Promise<CallReport> {
  const calls = new LinkCalls(places);
  const failures: string[] = [];
  const startMs = machineMs();
  const all = Array.from({ length: count }, (_, at) =>
    inTime("call", calls.echo(2, 100 + at, at, `${prefix}${at}`)).catch((error: unknown) => {
      failures.push(String(error));
    }),
  );
  await Promise.all(all);
  calls.close();
  const ok = count - failures.length;
  return { done: { call: ok }, failures, ms: Math.round(machineMs() - startMs) };
}

let loop: Loop | null = null;

answerLines(async (question: Question): Promise<object> => {
  switch (question.op) {
    case "mix":
      return mix(question.many, question.large, question.only);
    case "loop":
      loop = new Loop(question.kinds, question.at);
      return {};
    case "report":
      return (question.stop === true ? loop?.stop() : loop?.report()) ?? {};
    case "hold":
      return hold();
    case "fates":
      return fates();
    case "stuff":
      return stuff(question.bytes);
    case "resume":
      return resume();
    case "small":
      return small(question.rounds);
    case "calls":
      return namedCalls(question.count, question.prefix);
  }
});
