/**
 * A program under load that knows nothing of a proxy: so many loops, each one request after the other over
 * kept-alive connections. Whatever is not a whole answer with status 200 is a failure. Arguments: URL, number of loops, pause between two requests of a loop in ms, and `fresh` for a connection of its own for each
 * request. A question is answered with the figures since
 * the last one; `{ "stop": true }` lets the loops come to their end first.
 */
import { Agent, get } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { answerLines, machineMs } from "./answer-lines.ts";

const [url = "", loops = "8", pause = "4", connections = "kept"] = process.argv.slice(2);
const agent = new Agent({ keepAlive: connections === "kept", maxSockets: Number(loops) });
const TIMEOUT_MS = 20_000;

let stopping = false;
let latencies: number[] = [];
let failures: Record<string, number> = {};
let byServer: Record<string, number> = {};

/** Resolves with the name of the server that answered; rejects with what is counted as the failure. */
function call(): Promise<string> {
  return new Promise((resolve, reject) => {
    const calling = get(url, { agent, timeout: TIMEOUT_MS }, (response) => {
      const { statusCode, headers } = response;
      response.on("error", reject);
      response.on("end", () => {
        const reason = `${statusCode} ${String(headers["x-hostmesh-error"] ?? "")}`;
        if (statusCode === 200) resolve(String(headers["x-served-by"] ?? "unknown"));
        else reject(new Error(reason));
      });
      response.resume();
    });
    calling.on("timeout", () => calling.destroy(new Error("TIMEOUT")));
    calling.on("error", reject);
  });
}

async function loop(): Promise<void> {
  while (!stopping) {
    const startMs = machineMs();
    try {
      const server = await call();
      byServer[server] = (byServer[server] ?? 0) + 1;
      latencies.push(machineMs() - startMs);
    } catch (error) {
      const { code, message } = error as Error & { code?: string };
      const reason = `${code ?? ""} ${message}`.trim();
      failures[reason] = (failures[reason] ?? 0) + 1;
    }
    await sleep(Number(pause));
  }
}

function report(): object {
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round((sorted[Math.floor(sorted.length * share)] ?? 0) * 100) / 100;
  const failed = Object.values(failures).reduce((sum, count) => sum + count, 0);
  const result = { ok: sorted.length, failed, failures, byServer };
  const times = { p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1 - 1e-9) };
  latencies = [];
  failures = {};
  byServer = {};
  return { ...result, ...times };
}

const running = Array.from({ length: Number(loops) }, () => loop());

answerLines(async (question: { readonly stop?: boolean }) => {
  if (question.stop === true) {
    stopping = true;
    await Promise.all(running);
    agent.destroy();
  }
  return report();
});
