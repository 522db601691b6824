import { Command } from "commander";
import { parse } from "yaml";
import * as z from "zod";
import { packageVersion } from "../../../daemon/package-version.ts";
import { printable } from "../../core/terminal.ts";
import { everyObject } from "../../install/manifests.ts";
import { RECORD_KEY, RECORD_NAME } from "../../install/record.ts";
import { type InstallObject, objectStream } from "../../install/resolve.ts";
import { isTree } from "../../install/values.ts";
import { CliError, EXIT } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { addValuesOptions, type InstallFlags, readInstallation } from "../install-values.ts";
import { addClusterOptions, type ClusterFlags, kubectl, kubectlOutput } from "../kubectl.ts";
import type { TerminalOutput } from "../terminal-output.ts";
import { nameOf, recordedObjects } from "./install.ts";

interface UpgradeFlags extends InstallFlags, ClusterFlags {
  readonly diff?: boolean;
  readonly resetValues?: boolean;
}

/** `hostmesh upgrade`. */
export function upgradeCommand(
  output: TerminalOutput,
  errors: TerminalOutput,
  onExit: (code: number) => void,
): Command {
  const command = new Command("upgrade")
    .summary("show what this version changes on a cluster, and print it")
    .description(
      "Compares what the cluster has with what this version and these values want, on standard error, and prints the objects for kubectl to apply. Values that were given before hold until others are given. Objects that are wanted no more are named, with the command that removes them.",
    )
    .option("--diff", "print the comparison alone; exit code 1 where there is a difference")
    .option("--reset-values", "forget the values that were given before")
    .action(async (flags: UpgradeFlags) => {
      const former = await formerValues(flags);
      const installation = readInstallation(
        packageVersion(),
        flags,
        flags.resetValues ? {} : former,
      );
      const objects = recordedObjects(installation);
      const stream = objectStream(objects);
      const difference = await differenceOf(flags, stream);
      const leftovers = await leftoversOf(flags, objects);
      const target = flags.diff === true ? output : errors;
      target.write(difference);
      for (const leftover of leftovers) target.line(`no longer wanted: kubectl delete ${leftover}`);
      if (flags.diff !== true) output.write(stream);
      else if (difference !== "" || leftovers.length > 0) onExit(EXIT.failure);
    });
  addClusterOptions(addValuesOptions(command));
  return describeCommand(command, {
    examples: [
      "hostmesh upgrade --image registry.example/hostmesh:0.2.0 | kubectl apply -f -",
      "hostmesh upgrade --diff && echo up to date",
    ],
    notes: ["It needs kubectl, and the right to see and to dry-run what is compared."],
    exitCodes: "1 with --diff: there is a difference",
  });
}

const configMap = z.looseObject({ data: z.record(z.string(), z.string()).default({}) });

/** The values that the installation was given. */
async function formerValues(flags: UpgradeFlags): Promise<Readonly<Record<string, unknown>>> {
  const query = ["get", "configmap", RECORD_NAME, "--ignore-not-found", "--output", "json"];
  const text = await kubectlOutput(flags, ["--namespace", flags.namespace, ...query]);
  if (text.trim() === "") {
    throw new CliError(`hostmesh install has not been used in the namespace ${flags.namespace}`, {
      remedy:
        "hostmesh install | kubectl apply -f -; what Helm or kustomize has installed is upgraded by them",
    });
  }
  const values: unknown = parse(configMap.parse(JSON.parse(text)).data[RECORD_KEY] ?? "{}");
  if (isTree(values)) return values;
  throw new CliError(`the ConfigMap ${RECORD_NAME} holds no values`, {
    remedy: "give all values anew, with --reset-values",
  });
}

/** What the API server would change, defaults and admission included. */
async function differenceOf(flags: ClusterFlags, stream: string): Promise<string> {
  const { code, stdout, stderr } = await kubectl(flags, ["diff", "--filename", "-"], stream);
  // As diff(1): 1 is a difference, more is trouble.
  if (code === 0 || code === 1) return stdout;
  throw new CliError(`the cluster cannot be compared: ${printable(stderr.trim())}`);
}

const found = z.object({
  items: z.array(
    z.object({
      apiVersion: z.string(),
      kind: z.string(),
      metadata: z.object({ name: z.string(), namespace: z.string().optional() }),
    }),
  ),
});
const OURS = "app.kubernetes.io/part-of=hostmesh,app.kubernetes.io/managed-by=hostmesh";

/** Objects of an earlier installation that are not among these. */
async function leftoversOf(
  flags: UpgradeFlags,
  objects: readonly InstallObject[],
): Promise<string[]> {
  const kinds = everyObject(packageVersion(), flags.namespace).map(({ kind }) =>
    kind.toLowerCase(),
  );
  const query = ["get", [...new Set(kinds)].join(","), "--all-namespaces", "--selector", OURS];
  const text = await kubectlOutput(flags, [...query, "--output", "json"]);
  const wanted = new Set(objects.map(nameOf));
  return found
    .parse(JSON.parse(text))
    .items.map(({ metadata: { name, namespace }, ...rest }) =>
      nameOf({ ...rest, metadata: { name, ...(namespace === undefined ? {} : { namespace }) } }),
    )
    .filter((name) => !wanted.has(name))
    .map(printable);
}
