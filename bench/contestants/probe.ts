import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { CallShape } from "../h2/request.ts";
import type { Protocol, Target } from "../model.ts";
import { askHttp2 } from "./probe-http2.ts";

/**
 * A process that asks every target for a whole body until each has delivered one: `node probe.ts FILE SECONDS`, where
 * FILE holds a ProbeJob. Exit code 1, and a line on standard error, where one does not in time. A process of its own,
 * because it runs in the client's network namespace.
 */
export interface ProbeJob {
  readonly protocol: Protocol;
  readonly targets: readonly Target[];
  readonly shape: CallShape;
  readonly bodyBytes: number;
}

const TRY_MS = 5_000;
const PAUSE_MS = 50;
const READ_LIMIT = 65_536;
/** Targets that are asked at a time. */
const LANES = 8;
const HEAD_END = "\r\n\r\n";

/** Asks once. Resolves with what was wrong, or null. */
async function ask(target: Target, job: ProbeJob): Promise<string | null> {
  if (job.protocol === "http2" || job.protocol === "grpc") {
    return askHttp2(target, { ...job, protocol: job.protocol, timeoutMs: TRY_MS });
  }
  const socket = connect({ host: target.host, port: target.port });
  socket.setTimeout(TRY_MS, () => socket.destroy(new Error("no answer")));
  try {
    await once(socket, "connect");
    if (target.connect) {
      socket.write(`CONNECT ${target.authority} HTTP/1.1\r\nHost: ${target.authority}\r\n\r\n`);
      const head = await readUntil(socket, (text) => text.includes(HEAD_END));
      if (!/^HTTP\/1\.1 200/.test(head)) return `CONNECT was answered with ${firstLine(head)}`;
    }
    return job.protocol === "tcp" ? await askLine(socket, job) : await askHttp(socket, target, job);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  } finally {
    socket.destroy();
  }
}

async function askLine(socket: Socket, { bodyBytes }: ProbeJob): Promise<string | null> {
  socket.write(`${bodyBytes}\n`);
  const body = await readUntil(socket, (text) => text.length >= bodyBytes);
  return body.length === bodyBytes ? null : `${body.length} bytes came instead of ${bodyBytes}`;
}

async function askHttp(
  socket: Socket,
  { authority }: Target,
  { bodyBytes }: ProbeJob,
): Promise<string | null> {
  socket.write(`GET /${bodyBytes} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
  // Not to the end of the connection: the upstream itself keeps it.
  const isWhole = (read: string) => {
    const end = read.indexOf(HEAD_END);
    return end !== -1 && read.length - end - HEAD_END.length >= bodyBytes;
  };
  const text = await readUntil(socket, isWhole);
  const [head = "", body = ""] = text.split(HEAD_END);
  if (!/^HTTP\/1\.1 200 /.test(head)) return `it was answered with ${firstLine(head)}`;
  return body.length === bodyBytes ? null : `${body.length} bytes came instead of ${bodyBytes}`;
}

/** What comes until it is enough, or the other side ends. */
async function readUntil(socket: Socket, isEnough: (text: string) => boolean): Promise<string> {
  let text = "";
  while (!isEnough(text) && text.length < READ_LIMIT) {
    const chunk: unknown = socket.read();
    if (chunk instanceof Buffer) text += chunk.toString("latin1");
    else if (socket.readableEnded || socket.destroyed) break;
    else await Promise.race([once(socket, "readable"), once(socket, "end"), once(socket, "close")]);
  }
  return text;
}

function firstLine(head: string): string {
  return JSON.stringify(head.split("\r\n")[0] ?? "");
}

const [, , file = "", seconds = "0"] = process.argv;
const job: ProbeJob = JSON.parse(await readFile(file, "utf8"));
const until = performance.now() + Number(seconds) * 1_000;
const left = job.targets.values();

/** Takes one target after the other, as long as there are any. */
async function askInTurn(): Promise<void> {
  for (const target of left) {
    for (;;) {
      const problem = await ask(target, job);
      if (problem === null) break;
      if (performance.now() > until) {
        console.error(`${target.authority} at ${target.host}:${target.port}: ${problem}`);
        process.exit(1);
      }
      await delay(PAUSE_MS);
    }
  }
}

await Promise.all(Array.from({ length: LANES }, askInTurn));
