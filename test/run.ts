import { glob, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/**
 * What `npm test` runs: every `*.test.ts` below `test/`, one process a file, in three groups one after the other.
 * Ordinary tests run on all CPUs. Privileged ones, under `test/netns` and `test/chaos`, start real daemons that keep
 * several CPUs busy while they start and then wait: two files run at a time, whatever the CPUs, each in network
 * namespaces of its own. Those of ALONE have the machine for themselves.
 * `npm test -- test/http test/core/address.test.ts` runs a part.
 *
 * A skipped test is named in the closing lines, and fails the run where REQUIRE_PRIVILEGED_TESTS is
 * 1: a privileged test that did not run has proven nothing.
 *
 * Exit code: 0 all passed, 1 a test failed or was skipped against that rule, 2 a filter matches no test file.
 */

/** A test file that hangs is ended after this time; the privileged ones start real servers. */
const FILE_TIMEOUT_MS = { ordinary: 120_000, privileged: 300_000 };
const PRIVILEGED_AT_A_TIME = 2;

/** The demo's namespaces and its state file have names of the whole machine; the fairness test pins to CPUs. */
const ALONE: ReadonlySet<string> = new Set([
  "test/netns/demo.test.ts",
  "test/netns/fairness.test.ts",
]);

/**
 * Where processes of tests keep code that is stripped of types and compiled: without it each of them, and each of
 * their worker threads, does all of that again, which is half of what a daemon's start takes.
 */
process.env["NODE_COMPILE_CACHE"] ??= resolve("node_modules/.cache/node-compile-cache");

interface Tally {
  passed: number;
  failed: number;
  readonly skipped: string[];
}

const isPrivileged = (file: string) => /^test\/(netns|chaos)\//.test(file);

/** The test files that the filters (files, folders or globs; none: all) choose, sorted. */
async function findFiles(filters: readonly string[]): Promise<string[]> {
  const found = new Set<string>();
  for (const filter of filters.length === 0 ? ["test"] : filters) {
    let matches = 0;
    const isFolder = await stat(filter).then(
      (entry) => entry.isDirectory(),
      () => false,
    );
    for await (const path of glob(isFolder ? `${filter}/**/*.test.ts` : filter)) {
      found.add(relative(".", path).split(sep).join("/"));
      matches++;
    }
    if (matches === 0) {
      console.error(`no test file matches ${filter}`);
      process.exit(2);
    }
  }
  return [...found].sort();
}

async function runFiles(files: string[], concurrency: number, timeout: number, tally: Tally) {
  if (files.length === 0) return;
  const stream = run({
    files,
    concurrency,
    timeout,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  stream.on("test:pass", (event) => {
    const { skip } = event;
    if (skip === undefined || skip === false) return;
    const where = event.file === undefined ? "" : `${relative(".", event.file)}: `;
    const reason = typeof skip === "string" && skip !== "" ? skip : "no reason given";
    tally.skipped.push(`${where}${event.name} (${reason})`);
  });
  stream.on("test:summary", (event) => {
    // One summary comes for each file and one without a file for the whole run.
    if (event.file !== undefined) return;
    tally.passed += event.counts.passed;
    // Also false where a file exceeded its time or could not be read, which no test may count.
    const failed = event.counts.tests - event.counts.passed - event.counts.skipped;
    tally.failed += event.success ? 0 : Math.max(1, failed - event.counts.todo);
  });
  await pipeline(stream, new spec(), process.stdout, { end: false });
}

const files = await findFiles(process.argv.slice(2));
const tally: Tally = { passed: 0, failed: 0, skipped: [] };
const ordinary = files.filter((file) => !isPrivileged(file));
const privileged = files.filter(isPrivileged);
const alone = privileged.filter((file) => ALONE.has(file));
const together = privileged.filter((file) => !ALONE.has(file));
await runFiles(ordinary, availableParallelism(), FILE_TIMEOUT_MS.ordinary, tally);
await runFiles(together, PRIVILEGED_AT_A_TIME, FILE_TIMEOUT_MS.privileged, tally);
await runFiles(alone, 1, FILE_TIMEOUT_MS.privileged, tally);

for (const test of tally.skipped) console.log(`SKIPPED ${test}`);
const { REQUIRE_PRIVILEGED_TESTS } = process.env;
const mustRunAll = REQUIRE_PRIVILEGED_TESTS === "1";
if (mustRunAll && tally.skipped.length > 0) {
  console.log("a skipped test fails this run, because REQUIRE_PRIVILEGED_TESTS is 1");
}
console.log(`${tally.passed} passed, ${tally.failed} failed, ${tally.skipped.length} skipped`);
process.exitCode = tally.failed > 0 || (mustRunAll && tally.skipped.length > 0) ? 1 : 0;
