import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { textTable } from "../../src/core/text-table.ts";
import { Crew } from "../contestants/crew.ts";
import { parseOpenFiles, withOpenFiles } from "../contestants/open-files.ts";
import { startHostmesh } from "../contestants/start-hostmesh.ts";
import { openSite } from "../lib/site.ts";
import { Workbench } from "../lib/workbench.ts";
import { type Memory, readMemory } from "../measure/process-reading.ts";

/**
 * What idle WebSockets cost in the memory of one data plane: that of its processes before and after they were opened, by
 * pair of versions of HTTP (client's, endpoint's).
 */
const USAGE = `node bench/websocket/main.ts [options]

  --sockets N      WebSockets (default 10000; fewer where open files do not suffice)
  --pairs LIST     versions of client and endpoint (default 1-1,1-2,2-2)
  --settle MS      without any work before memory is read (default 5000)`;

/** Opened before the first reading, so that what grows once for all is not put down to them. */
const WARM = 200;
const START_MS = 30_000;
const HOLD_MS = 240_000;
/** Descriptors of a proxy beside those of sockets. */
const OTHERS = 1_024;

interface Figure {
  readonly pair: string;
  readonly sockets: number;
  readonly before: Memory;
  readonly after: Memory;
}

/** As many as a process may hold: one of HTTP/1.1 to HTTP/1.1 takes a descriptor on either side. */
async function mostSockets(pair: string, wanted: number): Promise<number> {
  const { hard } = parseOpenFiles(await readFile("/proc/self/limits", "utf8"));
  const each = [...pair].filter((one) => one === "1").length;
  return each === 0 ? wanted : Math.min(wanted, Math.floor((hard - OTHERS - WARM) / each));
}

function script(name: string): string {
  return fileURLToPath(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url));
}

async function measure(
  pair: string,
  wanted: number,
  settleMs: number,
  signal: AbortSignal,
): Promise<Figure> {
  const [client = "1", endpoint = "1"] = pair.split("-");
  const sockets = await mostSockets(pair, wanted);
  const site = await openSite("same-host", { workers: 1, signal });
  const bench = await Workbench.open(signal);
  const run = async (name: string, args: readonly string[], files: number, ms: number) => {
    const command = await withOpenFiles([process.execPath, ...args], files);
    return await bench.startAnnounced(name, site.command(site.b, "load", command), ms);
  };
  try {
    const server = [script("endpoint"), endpoint, site.b.address];
    // Both sides of the load have a single descriptor for each.
    const { line } = await run("the endpoint", server, sockets / 2, START_MS);
    const endpoints = [{ host: site.b.address, port: Number(line) }];
    const configFolder = join(bench.folder, "config");
    const crew = await Crew.open({ bench, site, name: "websocket", configFolder });
    const protocol = endpoint === "2" ? ({ protocol: "http2" } as const) : {};
    const { pid, explicit } = await startHostmesh(crew, {
      services: [{ name: "web", endpoints, ...protocol }],
      ...{ place: site.a, workers: 1, connections: sockets, protocol: "http1" },
    });
    const hold = (name: string, count: number) => {
      const place = [explicit.host, String(explicit.port), "web", String(count)];
      return run(name, [script("hold"), client, ...place], count / 2, HOLD_MS);
    };
    await hold("the first sockets", WARM);
    await delay(settleMs, undefined, { signal });
    const before = await readMemory([pid]);
    await hold("the sockets", sockets);
    await delay(settleMs, undefined, { signal });
    return { pair, sockets, before, after: await readMemory([pid]) };
  } finally {
    await bench.close();
    await site.close();
  }
}

function report(figures: readonly Figure[]): string {
  const mebibytes = (bytes: number) => (bytes / 1_048_576).toFixed(1);
  const columns = [
    "client-endpoint",
    "sockets",
    "PSS before",
    "PSS after",
    "RSS before",
    "RSS after",
  ];
  const right = { align: "right" } as const;
  const titles = [...columns, "PSS/socket", "RSS/socket"];
  const rows = figures.map(({ pair, sockets, before, after }) => [
    ...[`HTTP/${pair.replace("-", " to HTTP/")}`, String(sockets)],
    ...[before.pssBytes, after.pssBytes].map((bytes) => `${mebibytes(bytes)} MiB`),
    ...[before.rssBytes, after.rssBytes].map((bytes) => `${mebibytes(bytes)} MiB`),
    ...[after.pssBytes - before.pssBytes, after.rssBytes - before.rssBytes].map(
      (bytes) => `${Math.round(bytes / sockets)} B`,
    ),
  ]);
  return textTable(
    titles.map((title, at) => ({ title, ...(at === 0 ? {} : right) })),
    rows,
    { width: Number.POSITIVE_INFINITY, color: false },
  ).join("\n");
}

const { values } = parseArgs({
  options: {
    sockets: { type: "string", default: "10000" },
    pairs: { type: "string", default: "1-1,1-2,2-2" },
    settle: { type: "string", default: "5000" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) console.log(USAGE);
else {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  const figures: Figure[] = [];
  for (const pair of values.pairs.split(",")) {
    const settleMs = Number(values.settle);
    figures.push(await measure(pair, Number(values.sockets), settleMs, stop.signal));
    process.stderr.write(`${report(figures.slice(-1))}\n`);
  }
  console.log(report(figures));
}
