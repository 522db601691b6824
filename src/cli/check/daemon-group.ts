import * as z from "zod";
import { type StatView, statView } from "../../../daemon/demo/stat-view.ts";
import { formatMs } from "../../core/format-figures.ts";
import { readAdmin } from "../admin.ts";
import { CliError } from "../cli-error.ts";
import { httpJson } from "../http-json.ts";
import { type CheckGroup, type Finding, failure, ok, warning } from "./finding.ts";
import { identityFindings, identityStanding } from "./identity-findings.ts";

/** The part of `/config_dump` that says how the daemon stands with its registry, capture and certificates. */
const standing = z.looseObject({
  capture: z.object({ mode: z.string(), active: z.boolean() }),
  registry: z.looseObject({
    connected: z.boolean(),
    url: z.string(),
    revision: z.number(),
    ageMs: z.number(),
    lastError: z.string().nullable(),
  }),
  identity: identityStanding,
});

const readiness = z.object({ ready: z.boolean(), reasons: z.array(z.string()) });

/** Does the daemon of this host live, is its data path proven, do its workers live? */
export function daemonGroup(admin: string): CheckGroup {
  return {
    title: "daemon",
    async run() {
      try {
        await readAdmin(admin, "/healthz");
      } catch (reason) {
        if (!(reason instanceof CliError)) throw reason;
        return [failure(reason.message, reason.remedy ?? "Look at the daemon's log.")];
      }
      const findings: Finding[] = [ok(`the admin API at ${admin} answers`)];
      findings.push(await readyFinding(admin));
      findings.push(...(await standingFindings(admin)));
      const stats = statView.safeParse(await readAdmin(admin, "/stats"));
      if (stats.success) findings.push(...statFindings(stats.data));
      else {
        findings.push(
          warning(
            `${admin}/stats is not understood`,
            "Use the hostmesh command of the daemon's own version.",
          ),
        );
      }
      return findings;
    },
  };
}

async function readyFinding(admin: string): Promise<Finding> {
  const answer = readiness.safeParse(
    await httpJson({
      method: "GET",
      url: `${admin}/ready`,
      peer: "the daemon",
      remedy: "Look at the daemon's log.",
      alsoOk: [503],
    }),
  );
  if (!answer.success) {
    return warning(`${admin}/ready is not understood`, "Is the address that of a hostmesh daemon?");
  }
  if (answer.data.ready) return ok("ready: a request through the data path was answered");
  return failure(
    `not ready: ${answer.data.reasons.join("; ")}`,
    "A daemon that has just started needs a second; else look at its log.",
  );
}

async function standingFindings(admin: string): Promise<Finding[]> {
  const answer = standing.safeParse(await readAdmin(admin, "/config_dump?redacted"));
  if (!answer.success) {
    return [
      warning(
        `${admin}/config_dump is not understood`,
        "Use the hostmesh command of the daemon's own version.",
      ),
    ];
  }
  const { capture, registry, identity } = answer.data;
  const age = `revision ${registry.revision}, confirmed ${formatMs(registry.ageMs)} ago`;
  const found: Finding[] = [
    registry.connected
      ? ok(`connected to ${registry.url}: ${age}`)
      : warning(
          `not connected to a registry${registry.lastError === null ? "" : ` (${registry.lastError})`}: serves ${age}`,
          "It goes on with what it knows and connects by itself; see the lines on the registry above.",
        ),
    ...identityFindings(identity),
  ];
  if (capture.mode === "explicit") return [...found, ok("captures nothing: explicit proxy only")];
  return [
    ...found,
    capture.active
      ? ok(`captures by ${capture.mode}`)
      : failure(
          `does not capture, although the mode is ${capture.mode}`,
          "The daemon's log says why; `hostmesh iptables check` looks at the rules.",
        ),
  ];
}

function statFindings({ workers, uptimeMs, version }: StatView): Finding[] {
  const alive = workers.filter((worker) => worker.alive).length;
  const restarts = workers.reduce((sum, worker) => sum + worker.restarts, 0);
  const up = `version ${version}, up ${Math.round(uptimeMs / 1_000)} s`;
  return [
    ok(up),
    alive === workers.length
      ? ok(`${alive} of ${workers.length} workers alive`)
      : failure(
          `${alive} of ${workers.length} workers alive`,
          "The others are being replaced; if that goes on, the daemon's log names the reason.",
        ),
    ...(restarts === 0
      ? []
      : [
          warning(
            `workers were replaced ${restarts} times since the start`,
            "The daemon's log names the reason of each.",
          ),
        ]),
  ];
}
