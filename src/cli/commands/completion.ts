import { Argument, Command } from "commander";
import { bashCompletion } from "../completion/bash.ts";
import { commandTree } from "../completion/command-tree.ts";
import { fishCompletion } from "../completion/fish.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { describeCommand } from "../describe-command.ts";
import { listNames, NAME_KINDS, type NameKind } from "../known-names.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** `hostmesh completion bash|zsh|fish`, and `services` and others, which the scripts call for names. */
export function completionCommand(output: TerminalOutput): Command {
  const command = new Command("completion")
    .summary("print a completion script for a shell")
    .description(
      "Prints a script that completes commands, options, values and names. `services`, `workloads`, `hosts` and `namespaces` print the names that the scripts offer.",
    )
    .addArgument(new Argument("<shell>", "shell").choices([...Object.keys(SHELLS), ...NAME_KINDS]));
  addSettingsOptions(command, ["registry"]);
  describeCommand(command, {
    examples: [
      "source <(hostmesh completion bash)",
      "hostmesh completion zsh > ~/.zsh/completions/_hostmesh",
      "hostmesh completion fish > ~/.config/fish/completions/hostmesh.fish",
    ],
  });
  return command.action(async (what: keyof typeof SHELLS | NameKind, flags: SettingsFlags) => {
    if (isNames(what)) {
      for (const name of await listNames(readSettings(flags), what)) output.line(name);
      return;
    }
    const root = command.parent ?? command;
    output.write(SHELLS[what](commandTree(root)));
  });
}

function isNames(what: string): what is NameKind {
  return (NAME_KINDS as readonly string[]).includes(what);
}
