import { differences } from "./differences.ts";
import { readLive, surroundingsOf } from "./live.ts";
import type { Family } from "./plan.ts";
import { Probe } from "./probe.ts";
import { buildPlan } from "./rules.ts";
import { execRunner, type Runner } from "./runner.ts";
import { type CaptureSpec, setNames } from "./spec.ts";

/** One thing that was looked at. */
export interface CheckStep {
  readonly name: string;
  readonly ok: boolean;
  /** What is wrong and where; or, when all is well, what was seen. */
  readonly detail: string;
}

export interface CheckReport {
  readonly ok: boolean;
  readonly steps: readonly CheckStep[];
}

export interface CheckOptions {
  /** Acts in the host's network namespace. */
  readonly runner?: Runner;
  /** Makes the probe's namespace; default: `runner`. */
  readonly machine?: Runner;
  /** false: compare only, and open no connection. */
  readonly connect?: boolean;
}

/**
 * Compares the kernel with the plan, then proves capture by real connections of a throw-away workload
 * (`Probe`). Every step is reported, also after one that failed. Leaves the host as it was.
 */
export async function check(
  spec: CaptureSpec,
  { runner = execRunner(), machine = runner, connect = true }: CheckOptions = {},
): Promise<CheckReport> {
  const steps: CheckStep[] = await checkRules(spec, runner);
  const families: Family[] = spec.ipv6 ? [4, 6] : [4];
  for (const family of families) {
    steps.push(
      await step(`dead-man IPv${family}`, async () => {
        const { alive } = setNames(family);
        const listed = await runner.run("ipset", ["list", alive, "-terse"]);
        if (!/Number of entries: [1-9]/.test(listed)) {
          throw new Error(`${alive} is empty: no daemon has refreshed it, so nothing is captured`);
        }
        return `${alive} is refreshed`;
      }),
    );
  }
  if (spec.mode === "tproxy")
    steps.push(await step("reverse path", () => checkReversePath(runner)));
  if (connect) steps.push(...(await proveByConnection(spec, families, runner, machine)));
  return { ok: steps.every((entry) => entry.ok), steps };
}

async function checkRules(spec: CaptureSpec, runner: Runner): Promise<CheckStep[]> {
  let found: CheckStep[] = [];
  const overall = await step("rules", async () => {
    const live = await readLive(runner, spec.ipv6 ? "required" : "if-any");
    const plan = buildPlan(spec, surroundingsOf(live));
    const all = differences(plan, live);
    found = all.map(({ subject, text }) => ({ name: subject, ok: false, detail: text }));
    if (found.length > 0) throw new Error(`${found.length} of them are not as planned`);
    return `as planned (${plan.hash})`;
  });
  return [overall, ...found];
}

/**
 * Strict reverse-path filtering does no harm, unless it looks at the mark as well (`src_valid_mark`, which
 * wg-quick sets): then it finds the workload's address behind `lo`, and the kernel drops the packet.
 */
async function checkReversePath(runner: Runner): Promise<string> {
  const read = async (name: string): Promise<boolean> =>
    (await runner.run("cat", [`/proc/sys/net/ipv4/conf/${name}`])).trim() === "1";
  const strict = (await read("all/rp_filter")) || (await read("default/rp_filter"));
  if (strict && (await read("all/src_valid_mark"))) {
    throw new Error(
      "net.ipv4.conf.all.src_valid_mark=1 with strict rp_filter drops captured packets; set src_valid_mark to 0 or rp_filter to 2",
    );
  }
  return "captured packets pass rp_filter";
}

async function proveByConnection(
  spec: CaptureSpec,
  families: readonly Family[],
  runner: Runner,
  machine: Runner,
): Promise<CheckStep[]> {
  const probe = new Probe(spec, runner, machine);
  const steps: CheckStep[] = [];
  const ready = await step("probe workload", async () => {
    await probe.setUp();
    return "joined to the host";
  });
  steps.push(ready);
  const proved = async (problem: string | null): Promise<string> => {
    if (problem !== null) throw new Error(problem);
    return "captured, and answered by the data path";
  };
  const inTurn = async (family: Family): Promise<CheckStep[]> => [
    await step(`connection from outside IPv${family}`, async () =>
      proved(await probe.connectInbound(family)),
    ),
    await step(`connection IPv${family}`, async () => proved(await probe.connect(family))),
  ];
  steps.push(...(await Promise.all((ready.ok ? families : []).map(inTurn))).flat());
  const removed = await step("probe removed", async () => {
    await probe.tearDown();
    return "nothing is left";
  });
  // What was never there cannot be removed: the reason is the step before.
  if (ready.ok) steps.push(removed);
  return steps;
}

async function step(name: string, work: () => Promise<string>): Promise<CheckStep> {
  try {
    return { name, ok: true, detail: await work() };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { name, ok: false, detail };
  }
}
