import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Command } from "commander";
import { execRunner } from "../../../iptables/runner.ts";
import type { Config } from "../../config/schema.ts";
import { formatBytes } from "../../core/format-figures.ts";
import { type AdminFlag, addAdminOption } from "../admin.ts";
import { hostParts, partsOf } from "../bug-report/collect.ts";
import { makeReport } from "../bug-report/make-report.ts";
import { CliError } from "../cli-error.ts";
import { describeCommand } from "../describe-command.ts";
import { callRegistry } from "../registry.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

interface ReportFlags extends SettingsFlags, AdminFlag {
  readonly output?: string;
  readonly redactNames?: boolean;
}

/** `hostmesh bug-report`. */
export function bugReportCommand(output: TerminalOutput, errors: TerminalOutput): Command {
  const command = new Command("bug-report")
    .summary("pack what a developer needs to find a fault, without secrets")
    .description(
      "Writes an archive (tar.gz) with versions, settings, the state of registry and daemons, traffic, metrics, the output of check and, as root, the rules of the kernel. Keys, tokens, values of headers and the like are taken out; addresses stay. README.txt in it says what it holds. Nothing is sent anywhere.",
    )
    .option("-o, --output <file>", "where to write it (default: hostmesh-bug-report-TIME.tar.gz)")
    .option("--redact-names", "replace names by hashes, which stay the same for this mesh")
    .action(async (flags: ReportFlags) => {
      const config = readSettings(flags);
      const now = new Date();
      const time = now.toISOString().slice(0, 19).replace(/[-:]/g, "");
      const file = flags.output ?? `hostmesh-bug-report-${time}.tar.gz`;
      const { archive, files, missing } = await makeReport({
        parts: partsOf(config, flags, execRunner()),
        more: (found) => hostParts(config, found.get("mesh/report.json")),
        nameKey: flags.redactNames === true ? () => meshKey(config) : null,
        atMs: now.getTime(),
        onProgress: (line) => errors.line(`reading ${line}`),
      });
      await write(file, archive);
      for (const line of missing) errors.line(`left out: ${line}`);
      const what = `${files.length} files, ${formatBytes(archive.length)}`;
      output.line(`${file}: ${what}. Look through it before you hand it on.`);
    });
  addSettingsOptions(addAdminOption(command), ["capture", "registry"]);
  return describeCommand(command, {
    examples: [
      "hostmesh bug-report",
      "sudo hostmesh bug-report -o report.tar.gz",
      "hostmesh bug-report --redact-names",
    ],
  });
}

/** Only its owner may read it, and nothing that is there already is lost. */
async function write(file: string, archive: Buffer): Promise<void> {
  try {
    await writeFile(file, archive, { mode: 0o600, flag: "wx" });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`cannot write ${file}: ${reason}`, {
      remedy: "name another file with -o FILE",
      cause,
    });
  }
}

/** The same for every report of this mesh: made of its authority, which the report does not hold. */
async function meshKey(config: Config): Promise<string> {
  try {
    const trust = await callRegistry(config, { method: "GET", path: "/v1/identity/trust" });
    return createHash("sha256").update(JSON.stringify(trust)).digest("hex");
  } catch (reason) {
    if (reason instanceof CliError) return "a mesh without authority";
    throw reason;
  }
}
