import * as z from "zod";
import type { Config } from "../config/schema.ts";
import { DEFAULT_NAMESPACE } from "../core/model.ts";
import { CliError } from "./cli-error.ts";
import { readRegistry } from "./registry.ts";

const answer = z.array(z.object({ name: z.string(), namespace: z.string() }));

/**
 * Names of the registered services, for the shell's completion; those outside the default namespace as
 * NAME.NAMESPACE. Empty where the registry cannot be asked: a TAB must not print errors.
 */
export async function listServiceNames(config: Config): Promise<string[]> {
  try {
    const services = await readRegistry(config, "/v1/mesh/services", answer);
    return services.map(({ name, namespace }) =>
      namespace === DEFAULT_NAMESPACE ? name : `${name}.${namespace}`,
    );
  } catch (reason) {
    if (reason instanceof CliError) return [];
    throw reason;
  }
}
