import * as z from "zod";
import type { Config } from "../config/schema.ts";
import { CliError } from "./cli-error.ts";
import { readRegistry } from "./registry.ts";
import { shortName } from "./sight/names.ts";

/** Kinds of names that a shell can complete. */
export const NAME_KINDS = ["services", "workloads", "hosts", "namespaces"] as const;
export type NameKind = (typeof NAME_KINDS)[number];

const named = z.array(z.object({ name: z.string(), namespace: z.string() }));
const status = z.object({ daemons: z.array(z.object({ host: z.string() })) });

/** bash expands the words that it is offered, commands in them too. Names of the mesh have no other characters. */
const SAFE = /^[\w.:-]+$/;

/**
 * Names of what the registry knows, for the shell's completion; those of services and workloads outside the default namespace as
 * NAME.NAMESPACE. Empty where the registry cannot be asked: a TAB must not print errors.
 */
export async function listNames(config: Config, kind: NameKind): Promise<string[]> {
  try {
    return [...new Set(await namesOf(config, kind))].filter((name) => SAFE.test(name));
  } catch (reason) {
    if (reason instanceof CliError) return [];
    throw reason;
  }
}

async function namesOf(config: Config, kind: NameKind): Promise<string[]> {
  const read = (path: "services" | "workloads") => readRegistry(config, `/v1/mesh/${path}`, named);
  switch (kind) {
    case "services":
    case "workloads": {
      const all = await read(kind);
      return all.map(({ name, namespace }) => shortName(`${namespace}/${name}`));
    }
    case "hosts":
      return (await readRegistry(config, "/v1/mesh/status", status)).daemons.map(
        ({ host }) => host,
      );
    case "namespaces": {
      const all = await Promise.all([read("services"), read("workloads")]);
      return all.flat().map(({ namespace }) => namespace);
    }
  }
}
