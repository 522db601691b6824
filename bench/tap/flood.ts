import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

/**
 * What a tap costs a running daemon: `node bench/tap/flood.ts --pid PID [--proxy HOST:PORT] [--admin URL] [--authority NAME]`.
 * Rounds with and without a tap that everything matches take turns under the same load; it prints the CPU time of the process
 * `--pid` (the generation) for each request, and the ratio of the medians.
 */
const CONNECTIONS = 32;
const ROUND_MS = 2_000;
const USER_HZ = 100;

const { values } = parseArgs({
  options: {
    pid: { type: "string" },
    proxy: { type: "string", default: "127.0.0.1:4140" },
    admin: { type: "string", default: "http://127.0.0.1:15000" },
    authority: { type: "string", default: "web" },
    rounds: { type: "string", default: "8" },
  },
});
const [host = "127.0.0.1", port = "4140"] = values.proxy.split(":");
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

function once(): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { host: values.authority };
    const sent = request({ host, port: Number(port), path: "/?a=1", headers, agent });
    sent.on("error", reject);
    sent.on("response", (answer) => answer.resume().on("end", resolve));
    sent.end();
  });
}

/** CPU time of the process so far, in ms (proc_pid_stat(5), fields 14 and 15). */
function cpuMs(): number {
  const stat = readFileSync(`/proc/${values.pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1_000) / USER_HZ;
}

/** CPU time of one request in µs, and requests a second. */
async function round(tapped: boolean): Promise<{ cpuUs: number; rps: number }> {
  const stop = new AbortController();
  let bytes = 0;
  if (tapped) {
    const answer = await fetch(`${values.admin}/sight/tap`, {
      ...{ method: "POST", body: "{}", signal: stop.signal },
    });
    if (!answer.ok) throw new Error(`no tap: ${answer.status}`);
    const read = async () => {
      for await (const chunk of answer.body ?? []) bytes += chunk.length;
    };
    read().catch(() => undefined);
  }
  let requests = 0;
  const before = cpuMs();
  const endMs = performance.now() + ROUND_MS;
  const lane = async () => {
    for (; performance.now() < endMs; requests += 1) await once();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
  const cpuUs = ((cpuMs() - before) * 1_000) / requests;
  stop.abort();
  if (tapped && bytes === 0) throw new Error("the tap showed nothing");
  await delay(100);
  return { cpuUs, rps: (requests * 1_000) / ROUND_MS };
}

function median(figures: readonly number[]): number {
  return [...figures].sort((a, b) => a - b)[Math.floor(figures.length / 2)] ?? Number.NaN;
}

await round(false);
const off: number[] = [];
const on: number[] = [];
for (let at = 0; at < Number(values.rounds); at += 1) {
  for (const tapped of at % 2 === 0 ? [false, true] : [true, false]) {
    const { cpuUs, rps } = await round(tapped);
    (tapped ? on : off).push(cpuUs);
    const text = `${tapped ? "tap" : "off"}  ${cpuUs.toFixed(1)} us CPU a request  ${rps.toFixed(0)} requests/s\n`;
    process.stdout.write(text);
  }
}
process.stdout.write(
  `ratio of the medians, tap to off: ${(median(on) / median(off)).toFixed(3)}\n`,
);
agent.destroy();
