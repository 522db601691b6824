import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { textTable } from "../../src/core/text-table.ts";
import { startField } from "../contestants/start-field.ts";
import { GRPC_FIELDS, GRPC_REQUEST, requestPath } from "../h2/request.ts";
import { treeTimes } from "../lib/cpu-time.ts";
import { openSite, type Site } from "../lib/site.ts";
import { pairedRatio, type Spread, spread } from "../lib/statistics.ts";
import { findTool } from "../lib/tools.ts";
import { Workbench } from "../lib/workbench.ts";
import type { Contestant, Peer, Protocol } from "../model.ts";
import { startUpstream } from "../upstream/start-upstream.ts";

/**
 * CPU time per request of one HTTP/2 hop, under a load that is not ours: h2load. Everybody has one worker, the same
 * upstream, and turns that interleave. nginx has `grpc_pass` in all cases, as it has no other HTTP/2 to servers that its
 * documentation recommends.
 */
const USAGE = `node bench/http2-hop/main.ts [options]

  --rounds N     rounds, of which the median counts (default 5)
  --requests N   of each measurement (default 60000)
  --clients N    connections (default 8)
  --streams N    requests at a time on each (default 16)
  --peers LIST   hostmesh, haproxy, nginx, envoy (default: all but envoy)
  --envoy FILE   Envoy's binary, where none is on PATH`;

const BODY_BYTES = 115;
const POST_BYTES = 100;
const WARM_UP_ROUNDS = 2;
const run = promisify(execFile);

const CASES = {
  GET: { protocol: "http2", fields: {}, content: null },
  "POST 100 B": { protocol: "http2", fields: {}, content: "m".repeat(POST_BYTES) },
  "gRPC unary": { protocol: "grpc", fields: GRPC_FIELDS, content: GRPC_REQUEST },
} as const;
type CaseName = keyof typeof CASES;
const NAMES = Object.keys(CASES) as CaseName[];

interface Options {
  readonly rounds: number;
  readonly requests: number;
  readonly clients: number;
  readonly streams: number;
  readonly peers: readonly Peer[];
  readonly envoy: string | null;
}

interface Reading {
  readonly cpuMicros: number;
  readonly userMicros: number;
  readonly perSecond: number;
}

function options(args: readonly string[]): Options | null {
  const text = { type: "string" as const };
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ rounds: text, requests: text, clients: text, streams: text, peers: text, envoy: text },
      help: { type: "boolean" },
    },
  });
  if (values.help === true) return null;
  const whole = (name: string, value: string) => {
    if (!/^[1-9]\d{0,8}$/.test(value)) throw new Error(`--${name} wants a whole number from 1 on`);
    return Number(value);
  };
  return {
    rounds: whole("rounds", values.rounds ?? "5"),
    requests: whole("requests", values.requests ?? "60000"),
    clients: whole("clients", values.clients ?? "8"),
    streams: whole("streams", values.streams ?? "16"),
    peers: (values.peers ?? "hostmesh,haproxy,nginx").split(",") as Peer[],
    envoy: values.envoy ?? null,
  };
}

/** Who is measured: all with the same protocol, but nginx with the one that it has. */
class Stage {
  readonly #benches: readonly Workbench[];
  readonly #site: Site;
  readonly #h2load: string;
  readonly #options: Options;
  readonly contestants: readonly { readonly who: Contestant; readonly protocol: Protocol }[];

  private constructor(
    benches: readonly Workbench[],
    site: Site,
    options: Options,
    rest: { readonly h2load: string; readonly contestants: Stage["contestants"] },
  ) {
    this.#benches = benches;
    this.#site = site;
    this.#options = options;
    this.#h2load = rest.h2load;
    this.contestants = rest.contestants;
  }

  static async open(options: Options, signal: AbortSignal): Promise<Stage> {
    const h2load = await findTool("h2load", "--version");
    if (h2load === null) throw new Error("h2load is not installed: apt-get install nghttp2-client");
    const site = await openSite("same-host", { workers: 1, signal });
    const benches: Workbench[] = [];
    try {
      const contestants: { who: Contestant; protocol: Protocol }[] = [];
      for (const protocol of ["http2", "grpc"] as const) {
        // A contestant of one name is once in a workbench.
        const bench = await Workbench.open(signal);
        benches.push(bench);
        const { services: upstreams } = await startUpstream(bench, site, { services: 1 });
        const peers = options.peers.filter((peer) => protocol === "grpc" || peer !== "nginx");
        const field = await startField(bench, site, {
          ...{ modes: ["host"], peers, protocol, tls: false, upstreams, workers: 1 },
          ...{ connections: options.clients * options.streams, envoyBinary: options.envoy },
          configFolder: join(bench.folder, protocol),
        });
        for (const { name, reason } of field.missing) process.stderr.write(`${name}: ${reason}\n`);
        contestants.push(...field.contestants.map((who) => ({ who, protocol })));
      }
      process.stderr.write(`${site.note}\n`);
      for (const { who } of contestants) process.stderr.write(`${who.name} ${who.version}\n`);
      return new Stage(benches, site, options, { h2load: h2load.path, contestants });
    } catch (error) {
      for (const bench of benches) await bench.close();
      await site.close();
      throw error;
    }
  }

  /** Who takes part in a case. */
  of(name: CaseName): readonly Contestant[] {
    return this.contestants
      .filter(({ who, protocol }) => protocol === CASES[name].protocol || who.peer === "nginx")
      .map(({ who }) => who);
  }

  async measure(who: Contestant, name: CaseName): Promise<Reading> {
    const [target] = who.targets;
    const [proxy] = who.proxies;
    if (target === undefined || proxy === undefined) throw new Error(`${who.name} is not there`);
    const { requests, clients, streams } = this.#options;
    const command = [this.#h2load, "-n", String(requests), "-c", String(clients)];
    command.push("-m", String(streams), "-H", `:authority: ${target.authority}`);
    command.push(...(await this.#asks(name)));
    const path = requestPath(CASES[name].protocol, BODY_BYTES);
    command.push(`http://${target.host}:${target.port}${path}`);
    const [program = "", ...args] = this.#site.command(this.#site.a, "load", command);
    const before = await treeTimes(proxy.pid);
    const { stdout } = await run(program, args, { timeout: 120_000 });
    const after = await treeTimes(proxy.pid);
    const succeeded = Number(/(\d+) 2xx/.exec(stdout)?.[1] ?? 0);
    if (succeeded !== requests) throw new Error(`${who.name}: ${stdout}`);
    const userMs = after.userMs - before.userMs;
    const systemMs = after.systemMs - before.systemMs;
    return {
      cpuMicros: (1e3 * (userMs + systemMs)) / requests,
      userMicros: (1e3 * userMs) / requests,
      perSecond: Number(/([\d.]+) req\/s/.exec(stdout)?.[1] ?? 0),
    };
  }

  async #asks(name: CaseName): Promise<string[]> {
    const { fields, content } = CASES[name];
    const asked = Object.entries(fields).flatMap(([field, value]) => ["-H", `${field}: ${value}`]);
    if (content === null) return asked;
    const file = join(this.#benches[0]?.folder ?? "", "content");
    await writeFile(file, content, "latin1");
    return [...asked, "-d", file];
  }

  async close(): Promise<void> {
    for (const bench of this.#benches) await bench.close();
    await this.#site.close();
  }
}

async function measure(stage: Stage, name: CaseName, rounds: number) {
  const field = stage.of(name);
  const readings = new Map<string, Reading[]>(field.map((who) => [who.name, []]));
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (let at = 0; at < field.length; at++) {
      const who = field[(at + round + WARM_UP_ROUNDS) % field.length] as Contestant;
      const reading = await stage.measure(who, name);
      if (round >= 0) readings.get(who.name)?.push(reading);
    }
  }
  return readings;
}

const figure = ({ median, min, max }: Spread) =>
  `${median.toFixed(2)} (${min.toFixed(2)} to ${max.toFixed(2)})`;

function rowsOf(name: CaseName, readings: ReadonlyMap<string, readonly Reading[]>): string[][] {
  const of = (who: string, key: keyof Reading) =>
    (readings.get(who) ?? []).map((reading) => reading[key]);
  const ours = of("hostmesh", "cpuMicros");
  return [...readings.keys()].map((who) => {
    const cpu = of(who, "cpuMicros");
    const share = ours.length === 0 ? "" : figure(pairedRatio(ours, cpu));
    const rest = [spread(of(who, "userMicros")).median.toFixed(1)];
    return [
      name,
      who,
      figure(spread(cpu)),
      ...rest,
      spread(of(who, "perSecond")).median.toFixed(0),
      share,
    ];
  });
}

async function main(): Promise<void> {
  const chosen = options(process.argv.slice(2));
  if (chosen === null) {
    console.log(USAGE);
    return;
  }
  const stop = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => stop.abort());
  const stage = await Stage.open(chosen, stop.signal);
  const rows: string[][] = [];
  try {
    for (const name of NAMES) {
      rows.push(...rowsOf(name, await measure(stage, name, chosen.rounds)));
    }
  } finally {
    await stage.close();
  }
  const titles = [
    "case",
    "proxy",
    "CPU us/request",
    "user",
    "requests/s",
    "hostmesh's share of it",
  ];
  const columns = titles.map((title) => ({ title }));
  const width = Number.POSITIVE_INFINITY;
  console.log(textTable(columns, rows, { width, color: false }).join("\n"));
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
