import { Argument, Command } from "commander";
import { bashCompletion } from "../completion/bash.ts";
import { commandTree } from "../completion/command-tree.ts";
import { fishCompletion } from "../completion/fish.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { describeCommand } from "../describe-command.ts";
import { listServiceNames } from "../service-names.ts";
import { addSettingsOptions, readSettings, type SettingsFlags } from "../settings-options.ts";
import type { TerminalOutput } from "../terminal-output.ts";

const SHELLS = { bash: bashCompletion, zsh: zshCompletion, fish: fishCompletion } as const;

/** `hostmesh completion bash|zsh|fish`, and `services`, which the scripts call for names. */
export function completionCommand(output: TerminalOutput): Command {
  const command = new Command("completion")
    .summary("print a completion script for a shell")
    .description(
      "Prints a script that completes commands, options, values and the names of services. `services` prints the names that the scripts offer.",
    )
    .addArgument(new Argument("<shell>", "shell").choices([...Object.keys(SHELLS), "services"]));
  addSettingsOptions(command, ["registry"]);
  describeCommand(command, {
    examples: [
      "source <(hostmesh completion bash)",
      "hostmesh completion zsh > ~/.zsh/completions/_hostmesh",
      "hostmesh completion fish > ~/.config/fish/completions/hostmesh.fish",
    ],
  });
  return command.action(async (shell: keyof typeof SHELLS | "services", flags: SettingsFlags) => {
    if (shell === "services") {
      for (const name of await listServiceNames(readSettings(flags))) output.line(name);
      return;
    }
    const root = command.parent ?? command;
    output.write(SHELLS[shell](commandTree(root)));
  });
}
