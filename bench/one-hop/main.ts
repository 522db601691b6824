import { mkdir, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { wantsColor } from "../../src/core/terminal.ts";
import { busyNote, describeMachine, type Machine } from "../lib/machine.ts";
import { type Pinning, pinningOfMachine } from "../lib/pinning.ts";
import { findProgram, findTool } from "../lib/tools.ts";
import { Workbench } from "../lib/workbench.ts";
import { tunnelLoad, wrkLoad } from "./load.ts";
import { measure, type Sample } from "./measure.ts";
import { type Options, parseOptions, USAGE, UsageError } from "./options.ts";
import { formatBody, report } from "./report.ts";
import { type Field, startContestants, type Tools } from "./start-contestants.ts";
import { summarize, type Unit } from "./summarize.ts";

/** Exit codes: 0 measured, 1 a row is invalid or something failed, 2 wrong usage, 130 broken off. */
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const say = (line: string) => void process.stderr.write(`${line}\n`);

async function findTools(): Promise<Tools> {
  const nginx = await findTool("nginx", "-v");
  const wrk = await findTool("wrk", "-v");
  if (nginx === null)
    throw new Error("nginx, the upstream, is missing: apt-get install nginx-light");
  if (wrk === null) throw new Error("wrk, the load, is missing: apt-get install wrk");
  return { nginx, wrk, haproxy: await findTool("haproxy", "-v") };
}

/** Tells what is about to happen and how long it takes. */
function announce(
  { contestants, missing }: Field,
  options: Options,
  notes: readonly string[],
): void {
  const { bodies, rounds, seconds, connections } = options;
  const warmUp = contestants.reduce((sum, { warmUpSeconds }) => sum + warmUpSeconds, 0);
  const settle = (bodies.length - 1) * contestants.length;
  const total = warmUp + settle + bodies.length * rounds * contestants.length * seconds;
  for (const { name, version } of contestants) say(`measured: ${name} ${version}`);
  for (const { name, reason } of missing) say(`NOT MEASURED: ${name}: ${reason}`);
  for (const note of notes) say(note);
  say(`${rounds} rounds of ${seconds} s, ${connections} connections: about ${total} s`);
}

function progress({ rounds }: Options) {
  return ({ name, bodyBytes, round, requests, userMs, systemMs, problems }: Sample): void => {
    const cpuUs = userMs === null || systemMs === null ? null : (userMs + systemMs) * 1e3;
    const cost = cpuUs === null ? "" : `  ${(cpuUs / requests).toFixed(1)} µs CPU each`;
    const place = `${formatBody(bodyBytes)}, round ${round + 1}/${rounds}`;
    say(`  ${place}: ${name}, ${requests} requests${cost} ${problems.join("; ")}`.trimEnd());
  };
}

interface Outcome {
  readonly machine: Machine;
  readonly pinning: Pinning;
  readonly field: Field;
  readonly tools: Tools;
  readonly samples: readonly Sample[];
}

async function run(options: Options, bench: Workbench): Promise<Outcome> {
  const machine = await describeMachine(ROOT);
  const tools = await findTools();
  const pinning = await pinningOfMachine((await findProgram("taskset")) !== null);
  const field = await startContestants(bench, tools, options, pinning);
  const busy = busyNote(machine.loadAverage);
  announce(field, options, [pinning.note, ...(busy === null ? [] : [`NOTE: ${busy}`])]);
  const { proxyCpu, loadCpu } = pinning;
  const { tcp, connections, bodies, rounds, seconds } = options;
  const load = tcp
    ? tunnelLoad(bench, connections, loadCpu)
    : wrkLoad(bench, tools.wrk, options, loadCpu);
  const { contestants } = field;
  const onSample = progress(options);
  const plan = { contestants, bodies, rounds, seconds, load, proxyCpu, onSample };
  return { machine, pinning, field, tools, samples: await measure(plan) };
}

/** Prints the table, writes the file, and tells whether every row is valid. */
async function conclude(options: Options, outcome: Outcome): Promise<boolean> {
  const { machine, pinning, field, tools, samples } = outcome;
  const unit: Unit = options.tcp ? "s/GB" : "us/request";
  const rows = summarize(samples, unit);
  const width = process.stdout.columns ?? Number.POSITIVE_INFINITY;
  const color = wantsColor(process.stdout.isTTY === true, process.env);
  for (const line of report(rows, unit, width, color)) console.log(line);
  for (const { name, reason } of field.missing) console.log(`NOT MEASURED: ${name}: ${reason}`);
  const busy = busyNote(machine.loadAverage);
  if (busy !== null) console.log(`NOTE: ${busy}`);
  if (options.out !== null) {
    const command = ["npm run bench --", ...process.argv.slice(2)].join(" ");
    const versions = Object.fromEntries([
      ...field.contestants.map(({ name, version }) => [name, version]),
      ["wrk", tools.wrk.version],
    ]);
    const facts = { command, machine, pinning, versions, missing: field.missing, options };
    await mkdir(dirname(resolve(options.out)), { recursive: true });
    await writeFile(options.out, `${JSON.stringify({ ...facts, unit, rows, samples }, null, 2)}\n`);
  }
  return rows.every(({ problems }) => problems.length === 0);
}

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === null) {
    console.log(USAGE);
    return 0;
  }
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal);
  const bench = await Workbench.open(stop.signal);
  try {
    return (await conclude(options, await run(options, bench))) ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    say("broken off");
    return 130;
  } finally {
    await bench.close();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  say(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : String(error));
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
