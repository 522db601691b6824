import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { textTable } from "../../src/core/text-table.ts";
import { runIdle } from "./run-idle.ts";

/**
 * The memory of one hostmesh daemon alone, without sidecars beside it: at rest, and by how much it grows with idle client
 * connections.
 */
const USAGE = `node bench/idle/main.ts [options]

  --containers N   containers of the host (default 50)
  --connections N  idle client connections, each after one request; 0: none (default 10000)
  --rounds N       rounds of the connections, of which the median counts (default 3)`;

/** As long as a whole run of `hostmesh bench --idle` waits. */
const SETTLE_MS = 5_000;
const MEBIBYTE = 1_048_576;

interface Options {
  readonly containers: number;
  readonly connections: number;
  readonly repeat: number;
}

/** null: the usage is wanted. Throws where a number is none. */
function options(args: readonly string[]): Options | null {
  const number = { type: "string" } as const;
  const flags = { containers: number, connections: number, rounds: number };
  const { values } = parseArgs({
    args: [...args],
    options: { ...flags, help: { type: "boolean" } },
  });
  if (values.help === true) return null;
  const read = (name: keyof typeof flags, least: number, fallback: number): number => {
    const value = Number(values[name] ?? fallback);
    if (!Number.isInteger(value) || value < least) {
      throw new Error(`--${name} wants a number from ${least} on`);
    }
    return value;
  };
  return {
    containers: read("containers", 1, 50),
    connections: read("connections", 0, 10_000),
    repeat: read("rounds", 1, 3),
  };
}

async function main(given: Options, signal: AbortSignal): Promise<void> {
  const configFolder = await mkdtemp(join(tmpdir(), "hostmesh-idle-"));
  try {
    const onProgress = (line: string) => void process.stderr.write(`  ${line}\n`);
    const { rows, connections, missing, notes } = await runIdle(
      { signal, configFolder, onProgress },
      {
        ...given,
        peers: ["hostmesh"],
        protocol: "http1",
        sidecars: false,
        envoyBinary: null,
        settleMs: SETTLE_MS,
      },
    );
    const figures = [
      ...rows.map(({ contestant, containers, pssBytes }) => [
        `${contestant}, ${containers} containers`,
        `${(pssBytes / MEBIBYTE).toFixed(1)} MiB`,
      ]),
      ...connections.map((row) => [
        `${row.connections} idle client connections, each`,
        `${(row.pssBytesEach / 1_024).toFixed(2)} KiB`,
      ]),
    ];
    const columns = [{ title: "WHAT" }, { title: "PSS", align: "right" as const }];
    const width = Number.POSITIVE_INFINITY;
    for (const line of textTable(columns, figures, { width, color: false })) console.log(line);
    for (const note of notes) console.log(note);
    for (const { name, reason } of missing) console.error(`${name}: ${reason}`);
    if (missing.length > 0) process.exitCode = 1;
  } finally {
    await rm(configFolder, { recursive: true });
  }
}

const given = options(process.argv.slice(2));
if (given === null) console.log(USAGE);
else {
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => stop.abort());
  await main(given, stop.signal).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
    process.exitCode = 1;
  });
}
