import type { Argument, Command, Option } from "commander";
import type { NameKind } from "../known-names.ts";

/** What the registry is asked for, by the name that an argument or a value has in the help. */
const NAMES: Readonly<Record<string, NameKind>> = {
  service: "services",
  workload: "workloads",
  host: "hosts",
  namespace: "namespaces",
};

/** What may stand at a place on the command line. */
export type Values =
  | { readonly kind: "none" }
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "files" }
  | { readonly kind: "folders" }
  | { readonly kind: "names"; readonly of: NameKind };

export interface OptionNode {
  /** `--output`, `-o`. */
  readonly names: readonly string[];
  readonly description: string;
  readonly takesValue: boolean;
  readonly values: Values;
}

/** One command with everything that can be completed after it. */
export interface CommandNode {
  /** Words after `hostmesh`; empty for the program itself. */
  readonly path: readonly string[];
  readonly subcommands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly OptionNode[];
  readonly argument: Values;
}

/** Flattens the program into its commands, the program itself first. Hidden commands are left out. */
export function commandTree(command: Command, path: readonly string[] = []): CommandNode[] {
  const help = command.createHelp();
  const children = help.visibleCommands(command).filter((child) => child.name() !== "help");
  const node: CommandNode = {
    path,
    subcommands: children.map((child) => ({
      name: child.name(),
      description: child.summary() || child.description(),
    })),
    options: [...help.visibleOptions(command), ...inherited(command)].map(optionNode),
    argument: argumentValues(command.registeredArguments[0]),
  };
  return [node, ...children.flatMap((child) => commandTree(child, [...path, child.name()]))];
}

/** The words of a command, each after a space: what the scripts compare to find where the cursor is. */
export function pathKey(node: CommandNode): string {
  return node.path.map((word) => ` ${word}`).join("");
}

/** The program's own options are understood after every command. */
function inherited(command: Command): readonly Option[] {
  const root = rootOf(command);
  return root === command ? [] : root.options.filter((option) => option.long === "--debug");
}

function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

function optionNode(option: Option): OptionNode {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  const takesValue = option.required || option.optional;
  const placeholder = /[<[](.*?)(?:\.\.\.)?[>\]]/.exec(option.flags)?.[1] ?? "";
  return {
    names,
    description: option.description,
    takesValue,
    values: takesValue ? valuesOf(placeholder, option.argChoices) : { kind: "none" },
  };
}

function argumentValues(argument: Argument | undefined): Values {
  return argument === undefined ? { kind: "none" } : valuesOf(argument.name(), argument.argChoices);
}

function valuesOf(placeholder: string, choices: readonly string[] | undefined): Values {
  if (choices !== undefined) return { kind: "words", words: choices };
  if (placeholder === "file") return { kind: "files" };
  if (placeholder === "dir") return { kind: "folders" };
  const of = NAMES[placeholder];
  if (of !== undefined) return { kind: "names", of };
  return { kind: "none" };
}
