import { Command } from "commander";
import { packageVersion } from "../../../daemon/package-version.ts";
import { everyObject, uninstallOrder } from "../../install/manifests.ts";
import { objectStream } from "../../install/resolve.ts";
import { describeCommand } from "../describe-command.ts";
import { addNamespaceOption, readInstallation } from "../install-values.ts";
import type { TerminalOutput } from "../terminal-output.ts";

/** `hostmesh uninstall`. */
export function uninstallCommand(output: TerminalOutput): Command {
  const command = new Command("uninstall")
    .summary("print what is to be removed from a cluster")
    .description(
      "Prints the Kubernetes objects of the mesh in the order in which they are to be removed, for kubectl to delete: the daemons first, each of which gives its capture back before it ends, and the mesh's namespace last, with the authority that the registry has made there. Containers talk directly from then on, without a restart.",
    )
    .action((flags: { namespace: string }) => {
      const { version, namespace } = readInstallation(packageVersion(), flags);
      const names = uninstallOrder(everyObject(version, namespace)).map(
        ({ apiVersion, kind, metadata: { name, namespace: within } }) => ({
          ...{ apiVersion, kind },
          metadata: { name, ...(within === undefined ? {} : { namespace: within }) },
        }),
      );
      output.write(objectStream(names));
    });
  addNamespaceOption(command);
  return describeCommand(command, {
    examples: ["hostmesh uninstall | kubectl delete --ignore-not-found -f -"],
    notes: [
      "All objects that some values lead to are named: --ignore-not-found passes over those that yours did not.",
      "On the nodes there is nothing left but /run/hostmesh, in memory, until their next start.",
    ],
  });
}
