import { Command } from "commander";
import { packageVersion } from "../../../daemon/package-version.ts";
import { installObjects } from "../../install/manifests.ts";
import { installRecord } from "../../install/record.ts";
import { type InstallObject, objectStream } from "../../install/resolve.ts";
import { describeCommand } from "../describe-command.ts";
import {
  addValuesOptions,
  type GivenInstallation,
  type InstallFlags,
  readInstallation,
} from "../install-values.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh install`. */
export function installCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("install")
    .summary("print what a cluster needs to run the mesh")
    .description(
      "Prints the Kubernetes objects that run the mesh, for kubectl to apply. Nothing is asked of a cluster. The kustomize base and the Helm chart in manifests/ hold the same objects.",
    )
    .option("--dry-run", "also list the objects on standard error")
    .action((flags: InstallFlags & { dryRun?: boolean }) => {
      const objects = recordedObjects(readInstallation(packageVersion(), flags));
      if (flags.dryRun === true) for (const object of objects) errors.line(nameOf(object));
      output.write(objectStream(objects));
    });
  addValuesOptions(command);
  return describeCommand(command, {
    examples: [
      "hostmesh install --image registry.example/hostmesh:0.1.0 | kubectl apply -f -",
      "hostmesh install --set captureMode=explicit --set registry.replicas=3 | kubectl apply -f -",
      "hostmesh install -f values.yaml --dry-run > /dev/null",
    ],
    notes: [
      "--dry-run asks no cluster either; `| kubectl apply --dry-run=server -f -` does.",
      "The values that were given are kept in the ConfigMap hostmesh-install, for hostmesh upgrade.",
    ],
  });
}

/** The objects of an installation, and what it leaves for the next upgrade. */
export function recordedObjects(installation: GivenInstallation): InstallObject[] {
  const { version, namespace, given } = installation;
  return [...installObjects(installation), installRecord(version, namespace, given)];
}

/** `namespace/hostmesh-system`, as kubectl names objects. */
export function nameOf({ kind, metadata: { name, namespace } }: InstallObject): string {
  const where = namespace === undefined ? "" : ` -n ${namespace}`;
  return `${kind.toLowerCase()}/${name}${where}`;
}
