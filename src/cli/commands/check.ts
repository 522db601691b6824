import { Command, Option } from "commander";
import type { Config } from "../../config/schema.ts";
import { type AdminFlag, addAdminOption, adminUrl } from "../admin.ts";
import { captureSpecOf } from "../capture.ts";
import { checkGroups, explained } from "../check/check-groups.ts";
import type { CheckGroup } from "../check/finding.ts";
import { clusterGroup, nodeGroups } from "../check/pre/pre-groups.ts";
import { printGroup, printShort, runChecks, summary } from "../check/run-checks.ts";
import { EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { OUTPUT_FORMATS, printStructured } from "../print-data.ts";
import { runningConfig } from "../running-daemon.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

const CHECK_FORMATS = [...OUTPUT_FORMATS, "short"] as const;

interface CheckFlags extends SettingsFlags, AdminFlag, PreFlags {
  readonly output: (typeof CHECK_FORMATS)[number];
}

interface PreFlags {
  readonly pre?: boolean;
  readonly only?: "node" | "cluster";
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace: string;
}

/** `hostmesh check`. */
export function checkCommand(output: TerminalOutput, onExit: (code: number) => void): Command {
  const command = new Command("check")
    .summary("find out what is wrong, on this host and in the mesh")
    .description(
      "Looks at registry, daemon, capture, host and services, and, as far as a registry tells, at all hosts, resources and traffic of the mesh, and says what to do about each thing that is wrong. As root it proves capture by a real connection. Changes nothing.",
    )
    .option(
      "--pre",
      "what would break an installation on Kubernetes, on this node and in the cluster",
    )
    .addOption(new Option("--only <part>", "with --pre: one part").choices(["node", "cluster"]))
    .option("--kubeconfig <file>", "with --pre: which cluster; default as kubectl")
    .option("--context <name>", "with --pre: which context of the kubeconfig")
    .option("--namespace <name>", "with --pre: where the mesh will be", "hostmesh-system")
    .action(async (flags: CheckFlags) => {
      const config = readSettings(flags);
      const groups = await (flags.pre === true ? groupsBefore : checkGroups)(config, flags);
      const asTable = flags.output === "table";
      const results = await runChecks(groups, (result) => {
        if (asTable) printGroup(output, result);
      });
      const { healthy, text } = summary(results);
      if (asTable) output.line(text);
      else if (flags.output === "short") printShort(output, results);
      else printStructured(output, flags.output, results);
      if (!healthy) onExit(EXIT.problem);
    });
  command.addOption(
    new Option(
      "-o, --output <format>",
      "form of the output; short: a line for each thing that is wrong",
    )
      .choices([...CHECK_FORMATS])
      .default("table"),
  );
  addSettingsOptions(addAdminOption(command), ["capture", "registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh check",
      "sudo hostmesh check",
      "sudo hostmesh check --pre",
      "hostmesh check --pre --only cluster --context staging",
      "hostmesh check -o short",
      "hostmesh check -o json | jq '.[].findings[] | select(.verdict == \"failure\")'",
    ],
    exitCodes: "3 a failure was found",
  });
}

/** Before an installation: nothing of the mesh needs to be there. */
async function groupsBefore(config: Config, flags: CheckFlags): Promise<CheckGroup[]> {
  const { only, kubeconfig = "", context = "", namespace } = flags;
  const cluster = only === "node" ? [] : [clusterGroup({ kubeconfig, context, namespace })];
  if (only === "cluster") return cluster;
  const spec = await captureSpecOf(config);
  if (spec === null) {
    return [explained("node", "the mode is explicit, which needs nothing of a node"), ...cluster];
  }
  const running = await runningConfig(adminUrl(flags, config));
  return [...nodeGroups(config, spec, running !== null), ...cluster];
}
