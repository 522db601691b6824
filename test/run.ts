import { glob, stat } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { COLLECTOR_CANNOT_BE_BUILT } from "./collector/program.ts";
import { endStragglers } from "./end-stragglers.ts";
import { CANNOT_BE_BUILT } from "./kube/programs.ts";

/**
 * What `npm test` runs: every `*.test.ts` below `test/`, one process a file, in three groups one after the other.
 * Ordinary tests run on all CPUs. Privileged ones, under `test/netns`, `test/chaos` and `test/kube`, start real daemons that keep
 * several CPUs busy while they start and then wait: two files run at a time, whatever the CPUs, each in network
 * namespaces of its own. Those of ALONE have the machine for themselves.
 * `npm test -- test/http test/core/address.test.ts` runs a part.
 *
 * A skipped test is named in the closing lines, and fails the run where REQUIRE_PRIVILEGED_TESTS is
 * 1: a privileged test that did not run has proven nothing. Only tests that need Kubernetes or
 * the collector are excused where these could not be built.
 *
 * A file that failed is run once more at the end, with the machine for itself. If it passes then, the run passes, and
 * the closing lines say FLAKY with what failed: beside others on a busy machine, a test that waits for something can
 * come too late, and one that tells of a race must not be lost in a log of thousands of lines. Where more than
 * MOST_REPEATED files failed nothing is repeated. What failed for good is FAILED in the closing lines.
 *
 * Exit code: 0 all passed, 1 a test failed or was skipped against that rule, 2 a filter matches no test file.
 */

/** A test file that hangs is ended after this time; the privileged ones start real servers. */
const FILE_TIMEOUT_MS = { ordinary: 120_000, privileged: 300_000 };
const PRIVILEGED_AT_A_TIME = 2;
/** What a file leaves behind is ended so long after the file's own time. */
const STRAGGLER_GRACE_MS = 10_000;

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

/** Programs that can only be had where there is Go: what needs them may be skipped where tests must not be. */
const EXCUSES = [CANNOT_BE_BUILT, COLLECTOR_CANNOT_BE_BUILT];

/** More failures than these are no chance. */
const MOST_REPEATED = 6;

/** What a file's tests came to; a file that never came to an end has none. */
interface Counts {
  readonly passed: number;
  readonly failed: number;
}

interface Results {
  readonly files: Map<string, Counts>;
  readonly skipped: Set<string>;
  /** Every failed test of the run: where it stands, its name and the first lines of its error. */
  readonly failures: string[];
}

const isPrivileged = (file: string) => /^test\/(netns|chaos|kube)\//.test(file);

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

/** `message` without its frames and differences: the log above has them. */
function describeFailure(where: string, name: string, error: Error): string {
  const { cause } = error;
  const text = cause instanceof Error ? cause.message : error.message;
  return `${where}: ${name}\n    ${text.split("\n").slice(0, 4).join("\n    ")}`;
}

async function runFiles(files: string[], concurrency: number, timeout: number, results: Results) {
  if (files.length === 0) return;
  const keepStragglers = endStragglers(timeout + STRAGGLER_GRACE_MS);
  const stream = run({
    files,
    concurrency,
    timeout,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const place = (file: string | undefined) => (file === undefined ? "" : relative(".", file));
  stream.on("test:pass", (event) => {
    const { skip } = event;
    if (skip === undefined || skip === false) return;
    const reason = typeof skip === "string" && skip !== "" ? skip : "no reason given";
    results.skipped.add(`${place(event.file)}: ${event.name} (${reason})`);
  });
  stream.on("test:fail", (event) => {
    const { details, file, line, name } = event;
    if (event.todo !== undefined && event.todo !== false) return;
    results.failures.push(describeFailure(`${place(file)}:${line ?? 0}`, name, details.error));
  });
  stream.on("test:summary", (event) => {
    // One summary comes for each file and one without a file for the whole run.
    if (event.file === undefined) return;
    const { tests, passed, skipped, todo } = event.counts;
    // Also false where a file exceeded its time, which no test may count.
    const failed = event.success ? 0 : Math.max(1, tests - passed - skipped - todo);
    results.files.set(place(event.file), { passed, failed });
  });
  await pipeline(stream, new spec(), process.stdout, { end: false });
  keepStragglers();
}

const timeoutOf = (file: string) => FILE_TIMEOUT_MS[isPrivileged(file) ? "privileged" : "ordinary"];

async function runGroups(files: readonly string[]): Promise<Results> {
  const results: Results = { files: new Map(), skipped: new Set(), failures: [] };
  const privileged = files.filter(isPrivileged);
  const groups: [string[], number][] = [
    [files.filter((file) => !isPrivileged(file)), availableParallelism()],
    [privileged.filter((file) => !ALONE.has(file)), PRIVILEGED_AT_A_TIME],
    [privileged.filter((file) => ALONE.has(file)), 1],
  ];
  for (const [group, concurrency] of groups) {
    const [first] = group;
    if (first !== undefined) await runFiles(group, concurrency, timeoutOf(first), results);
  }
  return results;
}

/** Runs what failed once more, one file at a time; its second result replaces the first in `results`. */
async function repeatFailed(failed: readonly string[], results: Results): Promise<void> {
  console.log(`\nonce more, alone: ${failed.join(" ")}`);
  const before = results.failures.splice(0);
  for (const file of failed) {
    const first = results.files.get(file);
    results.files.delete(file);
    await runFiles([file], 1, timeoutOf(file), results);
    const again = results.files.get(file);
    // A test that is skipped now, because of what its failure has left, has not passed.
    const isLess = (again?.passed ?? 0) <= (first?.passed ?? 0);
    if (again?.failed === 0 && isLess) results.files.set(file, { ...again, failed: 1 });
  }
  for (const failure of before) console.log(`AT FIRST ${failure}`);
}

const files = await findFiles(process.argv.slice(2));
const results = await runGroups(files);
const failedFiles = () => files.filter((file) => results.files.get(file)?.failed !== 0);
const atFirst = failedFiles();
if (atFirst.length > 0 && atFirst.length <= MOST_REPEATED) await repeatFailed(atFirst, results);
const inTheEnd = failedFiles();

for (const test of results.skipped) console.log(`SKIPPED ${test}`);
for (const failure of results.failures) console.log(`FAILED ${failure}`);
for (const file of atFirst) {
  if (!inTheEnd.includes(file)) console.log(`FLAKY ${file}: failed beside others, passed alone`);
}
const { REQUIRE_PRIVILEGED_TESTS } = process.env;
const isExcused = (test: string) => EXCUSES.some((reason) => test.includes(reason));
const unexcused = [...results.skipped].filter((test) => !isExcused(test));
const skippedTooMuch = REQUIRE_PRIVILEGED_TESTS === "1" && unexcused.length > 0;
if (skippedTooMuch) {
  console.log("a skipped test fails this run, because REQUIRE_PRIVILEGED_TESTS is 1");
}
let passed = 0;
let failed = 0;
for (const file of files) {
  const counts = results.files.get(file);
  passed += counts?.passed ?? 0;
  failed += counts?.failed ?? 1;
}
console.log(`${passed} passed, ${failed} failed, ${results.skipped.size} skipped`);
process.exitCode = failed > 0 || skippedTooMuch ? 1 : 0;
