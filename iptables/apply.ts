import { setTimeout as delay } from "node:timers/promises";
import { differences } from "./differences.ts";
import { incapableInterfaces } from "./interfaces.ts";
import { forgetEnded } from "./leftovers.ts";
import {
  BARE_HOST,
  type Live,
  type LiveFamily,
  parseJson,
  readLive,
  surroundingsOf,
} from "./live.ts";
import { type Family, type FamilyPlan, type Plan, ROUTE_PROTOCOL } from "./plan.ts";
import { buildPlan } from "./rules.ts";
import { CommandError, execRunner, type Runner } from "./runner.ts";
import { type CaptureSpec, markText, validateSpec } from "./spec.ts";
import { NOTHING, type Step, transition, wantedFromLive, wantedOf } from "./transition.ts";

export interface InstallOptions {
  /** Runs the commands; default: on this machine. */
  readonly runner?: Runner;
  /** Addresses of the workloads that are known now; their interfaces have to suit the mode. */
  readonly workloads?: readonly string[];
}

/** The kernel gives up its references to a set a moment after the rules are gone. */
const SET_IN_USE_TRIES = 100;
const SET_IN_USE_PAUSE_MS = 20;

/**
 * Brings the kernel to what the spec says; whatever of ours differs is replaced, table by table in one
 * transaction each. Nothing is captured before `CaptureSets.refreshAlive` says that the daemon lives.
 * Resolves with the commands that were run: none where everything was in place.
 * @throws Error after undoing everything, where a command fails or the host cannot carry the spec.
 */
export async function install(
  spec: CaptureSpec,
  { runner = execRunner(), workloads = [] }: InstallOptions = {},
): Promise<readonly Step[]> {
  validateSpec(spec);
  const before = await readLive(runner, spec.ipv6 ? "required" : "if-any");
  const plan = buildPlan(spec, surroundingsOf(before));
  await refuseIncapable(spec, workloads, runner);
  const isEarly = plan.families.some(({ early }) => early !== null);
  if (spec.mode === "tproxy" || isEarly) await refuseTakenMark(spec, runner);
  if (spec.mode === "tproxy") await refuseTakenTable(spec, runner);
  const steps = installSteps(plan, before);
  try {
    for (const step of steps) await runStep(step, runner);
  } catch (cause) {
    await undo(before, runner, cause);
  }
  return steps;
}

/**
 * Removes everything of ours, from whatever spec and version; a host without anything of ours is left as it
 * is. Resolves with the commands that were run. Captured connections that have ended are forgotten too, as far as
 * the kernel can: `onKept` hears why it could not be asked to.
 */
export async function uninstall(
  runner: Runner = execRunner(),
  onKept: (reason: string) => void = () => undefined,
): Promise<readonly Step[]> {
  const live = await readLive(runner, "if-any");
  const steps = [...live.families.flatMap((now) => removal(now)), ...destroySets(live.sets)];
  const isTransparent = live.families.some((now) => now.routingRules.length > 0);
  // Before, so that no client meets them without rules; and after, for those that ended meanwhile.
  if (isTransparent) await forget(runner, () => undefined);
  for (const step of steps) await runStep(step, runner);
  if (isTransparent) await forget(runner, onKept);
  return steps;
}

async function forget(runner: Runner, onKept: (reason: string) => void): Promise<void> {
  try {
    await forgetEnded(runner);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    onKept(error.message);
  }
}

/**
 * What `install` would do, as commands to paste into a root shell.
 * @param live the state to start from (`readLive`); without it a host on which nothing of ours exists.
 */
export function dryRunText(spec: CaptureSpec, live: Live = BARE_HOST): string {
  const steps = installSteps(buildPlan(spec, surroundingsOf(live)), live);
  return steps.length === 0
    ? "# Everything is in place already.\n"
    : steps.map(stepText).join("\n");
}

/** One step as a shell command; input becomes a here-document. */
export function stepText(step: Step): string {
  const line = [step.command, ...step.args].map(shellWord).join(" ");
  return step.stdin === undefined ? `${line}\n` : `${line} <<'EOF'\n${step.stdin}EOF\n`;
}

function installSteps(plan: Plan, live: Live): Step[] {
  const planned = plan.families.flatMap((family) => family.sets);
  const created = planned.filter((set) => !live.sets.includes(set.name));
  const steps: Step[] = [];
  if (created.length > 0) {
    const lines = created.map((set) => `create ${set.name} ${set.type} -exist\n`);
    steps.push({ command: "ipset", args: ["restore"], stdin: lines.join("") });
  }
  for (const now of live.families) {
    const family = plan.families.find((candidate) => candidate.family === now.family);
    if (family === undefined) steps.push(...removal(now));
    else if (!isInPlace(plan, family, now, live)) {
      steps.push(...transition(now, wantedOf(family, plan.hash, now)));
    }
  }
  const names = planned.map((set) => set.name);
  // Sets with a process id at the end are another process's, in the middle of a swap.
  const stale = live.sets.filter((name) => !names.includes(name) && !/-\d+$/.test(name));
  return [...steps, ...destroySets(stale)];
}

function isInPlace(plan: Plan, family: FamilyPlan, now: LiveFamily, live: Live): boolean {
  const only: Plan = { hash: plan.hash, families: [{ ...family, sets: [] }] };
  return differences(only, { ...live, families: [now] }).length === 0;
}

function removal(now: LiveFamily): Step[] {
  return transition(now, NOTHING);
}

function destroySets(names: readonly string[]): Step[] {
  return names.map((name) => ({ command: "ipset", args: ["destroy", name] }));
}

async function runStep(step: Step, runner: Runner): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await runner.run(step.command, step.args, step.stdin);
      return;
    } catch (error) {
      const inUse =
        step.args[0] === "destroy" && error instanceof CommandError && /in use/.test(error.stderr);
      if (!inUse || tries === SET_IN_USE_TRIES) throw error;
      await delay(SET_IN_USE_PAUSE_MS);
    }
  }
}

/** Goes back to the state before, then throws; what could not be undone is part of the message. */
async function undo(before: Live, runner: Runner, cause: unknown): Promise<never> {
  const reason = cause instanceof Error ? cause.message : String(cause);
  try {
    const now = await readLive(runner, "if-any");
    for (const family of now.families) {
      const old = before.families.find((candidate) => candidate.family === family.family);
      const wanted = old === undefined ? NOTHING : wantedFromLive(old);
      for (const step of transition(family, wanted)) await runStep(step, runner);
    }
    const created = now.sets.filter((name) => !before.sets.includes(name));
    for (const step of destroySets(created)) await runStep(step, runner);
  } catch (error) {
    const text = `capture was not installed, and undoing it failed too; run "hostmesh iptables uninstall": ${reason}`;
    throw new Error(text, { cause: new AggregateError([cause, error]) });
  }
  throw new Error(`capture was not installed, everything was undone: ${reason}`, { cause });
}

async function refuseIncapable(
  spec: CaptureSpec,
  workloads: readonly string[],
  runner: Runner,
): Promise<void> {
  const [first, ...others] = await incapableInterfaces(spec.mode, workloads, runner);
  if (first === undefined) return;
  const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
  throw new Error(
    `capture in mode ${spec.mode} is not possible: workload ${first.address}${more} is behind interface ${first.interface}: ${first.reason}`,
  );
}

/** The mark must not be in somebody else's use: their packets would be delivered locally, or ours led astray. */
async function refuseTakenMark(spec: CaptureSpec, runner: Runner): Promise<void> {
  for (const family of familiesOf(spec)) {
    const rules = parseJson(await runner.run("ip", [`-${family}`, "-j", "rule", "show"]));
    const [mark] = markText(spec.mark).split("/");
    const taken = rules.find((rule) => rule["fwmark"] === mark && !isOurs(rule));
    if (taken !== undefined) {
      throw new Error(
        `capture: packet mark ${mark} is used by another routing rule (priority ${taken["priority"]}); choose another with capture.mark`,
      );
    }
  }
}

/** Nor must the routing table. */
async function refuseTakenTable(spec: CaptureSpec, runner: Runner): Promise<void> {
  for (const family of familiesOf(spec)) {
    const all = ["route", "show", "table", "all"];
    const routes = parseJson(await runner.run("ip", [`-${family}`, "-j", ...all]));
    const foreign = routes.find((r) => r["table"] === String(spec.table) && !isOurs(r));
    if (foreign !== undefined) {
      throw new Error(
        `capture: routing table ${spec.table} holds a route of somebody else (${foreign["dst"]}); choose another with capture.table`,
      );
    }
  }
}

function familiesOf(spec: CaptureSpec): readonly Family[] {
  return spec.ipv6 ? [4, 6] : [4];
}

function isOurs(entry: Readonly<Record<string, unknown>>): boolean {
  return entry["protocol"] === String(ROUTE_PROTOCOL);
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
