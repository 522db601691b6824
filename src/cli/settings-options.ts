import { type Command, InvalidArgumentError, Option } from "commander";
import { loadConfig } from "../config/load.ts";
import type { Config } from "../config/schema.ts";
import { CliError, EXIT } from "./cli-error.ts";

/** What `--config`, `--set` and the direct flags leave in a command's options. */
export interface SettingsFlags {
  readonly config?: string;
  readonly set?: readonly Setting[];
  readonly capture?: string;
  readonly onDeath?: string;
  readonly host?: string;
  readonly registry?: string;
  readonly data?: string;
  readonly store?: string;
  readonly user?: string;
  readonly source?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

interface Setting {
  readonly path: readonly string[];
  readonly value: string;
}

export type DirectFlag = "capture" | "registry" | "data" | "store";

/** Gives a command the options that name settings. Direct flags win over `--set`, that over the file. */
export function addSettingsOptions(command: Command, direct: readonly DirectFlag[]): Command {
  command
    .option("--config <file>", "settings file, YAML or JSON")
    .option(
      "--set <path=value>",
      "one setting, such as ports.explicit=8080; may be repeated",
      collect,
    );
  if (direct.includes("capture")) {
    command
      .addOption(
        new Option("--capture <mode>", "how connections reach the daemon").choices([
          "auto",
          "tproxy",
          "redirect",
          "explicit",
        ]),
      )
      .addOption(
        new Option("--on-death <behaviour>", "containers while the daemon is gone").choices([
          "open",
          "closed",
        ]),
      )
      .option("--host <name>", "this host's name in the registry");
  }
  if (direct.includes("registry")) {
    command.option("--registry <url>", "registry to talk to; several with commas");
  }
  if (direct.includes("data")) {
    command.option("--data <dir>", "folder of the registry's store and the last good snapshot");
  }
  if (direct.includes("store")) {
    command.addOption(
      new Option("--store <kind>", "where the registry keeps its state").choices([
        "sqlite",
        "etcd",
      ]),
    );
  }
  return command;
}

/** Settings of a command: file, then HOSTMESH_ environment variables, then flags. Errors exit with 2. */
export function readSettings(flags: SettingsFlags): Config {
  try {
    return loadConfig({
      ...(flags.config === undefined ? {} : { file: flags.config }),
      env: process.env,
      flags: flagTree(flags),
    });
  } catch (reason) {
    const message = reason instanceof Error ? reason.message : String(reason);
    throw new CliError(message, { exitCode: EXIT.usage, cause: reason });
  }
}

function flagTree(flags: SettingsFlags): Record<string, unknown> {
  const tree: Record<string, unknown> = {};
  for (const { path, value } of flags.set ?? []) assign(tree, path, value);
  if (flags.capture !== undefined) assign(tree, ["capture", "mode"], flags.capture);
  if (flags.onDeath !== undefined) assign(tree, ["capture", "onDeath"], flags.onDeath);
  if (flags.host !== undefined) assign(tree, ["host"], flags.host);
  if (flags.user !== undefined) assign(tree, ["user"], flags.user);
  if (flags.data !== undefined) assign(tree, ["dataDir"], flags.data);
  if (flags.store !== undefined) assign(tree, ["registry", "store"], flags.store);
  if (flags.source !== undefined) assign(tree, ["registry", "source"], flags.source);
  if (flags.kubeconfig !== undefined) assign(tree, ["kubernetes", "kubeconfig"], flags.kubeconfig);
  if (flags.context !== undefined) assign(tree, ["kubernetes", "context"], flags.context);
  if (flags.registry !== undefined) {
    assign(
      tree,
      ["registry", "urls"],
      flags.registry.split(",").map((url) => url.trim()),
    );
  }
  return tree;
}

function assign(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  let at = tree;
  for (const key of path.slice(0, -1)) {
    const below = at[key];
    if (typeof below === "object" && below !== null) at = below as Record<string, unknown>;
    else {
      const fresh: Record<string, unknown> = {};
      at[key] = fresh;
      at = fresh;
    }
  }
  at[path.at(-1) ?? ""] = value;
}

/** `a.b=value`; the value is read as in the environment: a list is its items with commas between. */
function collect(text: string, before: readonly Setting[] = []): readonly Setting[] {
  const equals = text.indexOf("=");
  const path = text.slice(0, equals).split(".");
  if (equals < 1 || path.some((key) => !/^[A-Za-z]\w*$/.test(key))) {
    throw new InvalidArgumentError("Expected path.to.key=value, such as ports.explicit=8080.");
  }
  if (path.includes("__proto__")) throw new InvalidArgumentError("There is no such setting.");
  return [...before, { path, value: text.slice(equals + 1) }];
}
