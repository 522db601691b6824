import { setTimeout as sleep } from "node:timers/promises";
import { Command, Option } from "commander";
import type { Config } from "../../config/schema.ts";
import { parseGoDuration } from "../../registry/duration.ts";
import { ROTATION_STEPS, type RotationStep } from "../../registry/identity/rotation.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { type RotationState, rotationState } from "../identity-records.ts";
import { callRegistry, readRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface RotateFlags extends SettingsFlags {
  readonly step?: RotationStep;
  readonly force?: boolean;
  readonly timeout: string;
  readonly grace: string;
}

/** Between two looks; daemons renew within a second. */
const LOOK_MS = 500;
const MAX_GRACE_MS = 86_400_000;
const AUTHORITIES = "/v1/identity/authorities";

/** What has been reached when a step is done. */
const DONE: Record<RotationStep, string> = {
  begin: "begin: the new authority is trusted beside the old one",
  issue: "issue: the new authority signs",
  finish: "finish: the old authority is no longer trusted",
};

/** `hostmesh identity rotate-ca`. */
export function identityRotateCaCommand(output: TerminalOutput): Command {
  const command = new Command("rotate-ca")
    .summary("replace the certificate authority without an interruption")
    .description(
      "Replaces the authority in three steps: begin (hosts trust the new one too), issue (all certificates are made anew by it), finish (the old one is no longer trusted). Without --step all of them, each when every host is ready; broken off, it goes on where it was.",
    )
    .addOption(new Option("--step <step>", "only this step").choices([...ROTATION_STEPS]))
    .option("--force", "go on without hosts that are not ready")
    .option("--timeout <duration>", "how long to wait for hosts in each step", "10m")
    .option("--grace <duration>", "how long tunnels may go on before finish cuts them off", "0s")
    .action(async (flags: RotateFlags) => {
      const timeoutMs = duration("--timeout", flags.timeout);
      const graceMs = duration("--grace", flags.grace);
      if (graceMs > MAX_GRACE_MS) {
        const reason = `--grace ${flags.grace}: at most 24h`;
        throw new CliError(reason, { exitCode: EXIT.usage });
      }
      if (flags.step !== undefined && graceMs > 0) {
        const reason = "--grace is for all steps: with --step, wait before --step finish";
        throw new CliError(reason, { exitCode: EXIT.usage });
      }
      const config = readSettings(flags);
      const force = flags.force === true;
      if (flags.step !== undefined) await take(config, flags.step, force, output);
      else await rotate(config, { force, timeoutMs, graceMs }, output);
    });
  addSettingsOptions(command, ["registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh identity rotate-ca",
      "hostmesh identity rotate-ca --grace 30m",
      "hostmesh identity rotate-ca --step begin",
      "hostmesh identity rotate-ca --step finish --force",
    ],
    notes: [
      "With registry.caFile, put the new authority's files in the place of the old ones first.",
      "A host that --force leaves behind needs a new join token.",
    ],
  });
}

interface Wait {
  readonly force: boolean;
  readonly timeoutMs: number;
  readonly graceMs: number;
}

/** In ms. */
function duration(option: string, text: string): number {
  const ms = parseGoDuration(text);
  if (ms !== null && ms >= 0) return ms;
  throw new CliError(`${option} ${text}: not a duration such as 10m`, { exitCode: EXIT.usage });
}

async function rotate(config: Config, wait: Wait, output: TerminalOutput): Promise<void> {
  let { phase } = await readRegistry(config, AUTHORITIES, rotationState);
  if (phase === "steady") ({ phase } = await take(config, "begin", false, output));
  if (phase === "begun") {
    const isLate = await mustForce(config, wait, output);
    ({ phase } = await take(config, "issue", isLate, output));
  }
  const isLate = await mustForce(config, wait, output);
  if (wait.graceMs > 0) {
    output.line(`tunnels of the old authority have ${wait.graceMs / 1_000} s to end`);
    await sleep(wait.graceMs);
  }
  await take(config, "finish", isLate, output);
}

async function take(
  config: Config,
  step: RotationStep,
  force: boolean,
  output: TerminalOutput,
): Promise<RotationState> {
  const answer = await callRegistry(config, {
    ...{ method: "POST", path: "/v1/identity/rotation", body: { step, force } },
  });
  const state = rotationState.parse(answer);
  output.line(DONE[step]);
  const { voidedTokens = 0 } = state;
  if (voidedTokens > 0) {
    output.line(`${voidedTokens} unused join tokens name the old authority and are void`);
  }
  return state;
}

/** Waits for all hosts. False: all are ready; true: not all in time, and the user forces it. */
async function mustForce(
  config: Config,
  { force, timeoutMs }: Wait,
  output: TerminalOutput,
): Promise<boolean> {
  const deadlineMs = performance.now() + timeoutMs;
  let said = "";
  for (;;) {
    await sleep(LOOK_MS);
    const waiting = describeWaiting(await readRegistry(config, AUTHORITIES, rotationState));
    if (waiting === "") return false;
    if (performance.now() < deadlineMs) {
      if (waiting !== said) output.line(waiting);
      said = waiting;
      continue;
    }
    if (force) return true;
    throw new CliError(`not all hosts are ready: ${waiting}`, {
      remedy:
        "run it again to go on, forget hosts that are gone (DELETE /v1/mesh/hosts/NAME), or add --force",
    });
  }
}

function describeWaiting(state: RotationState): string {
  const { awaitedHosts, awaitedHostsTotal, oldCertificates, oldCertificatesTotal } = state;
  const hosts = awaitedHosts.slice(0, 5).map(({ host, connected }) => host + mark(connected));
  const waitsForLeaves = state.phase === "issuing" && oldCertificatesTotal > 0;
  const leaves = oldCertificates.slice(0, 3).map(({ identity, host }) => `${identity} on ${host}`);
  return [
    ...(awaitedHostsTotal > 0 ? [`waiting for ${awaitedHostsTotal} hosts (${hosts})`] : []),
    ...(state.registriesBehind > 0
      ? [`waiting for ${state.registriesBehind} other registries`]
      : []),
    ...(state.settleMs > 0 ? ["letting the last changes settle"] : []),
    ...(waitsForLeaves ? [`${oldCertificatesTotal} certificates to be made anew (${leaves})`] : []),
  ].join("; ");
}

function mark(connected: boolean): string {
  return connected ? "" : " (not connected)";
}
