import { isIP } from "node:net";
import * as z from "zod";
import type { Config } from "../config/schema.ts";
import { adminUrl, readAdmin } from "./admin.ts";
import { CliError, EXIT } from "./cli-error.ts";
import { readRegistry } from "./registry.ts";
import { workloadList } from "./service-records.ts";

/** Addresses of this host's workloads, and who named them; null: nobody could be asked. */
export interface KnownWorkloads {
  readonly addresses: readonly string[];
  readonly origin: string | null;
}

const dump = z.looseObject({
  snapshot: z.looseObject({
    workloads: z.array(z.looseObject({ addresses: z.array(z.string()) })),
  }),
});

/**
 * The workloads that capture would be about: those that the command line names, else those that the running
 * daemon knows, else those of this host in the registry.
 */
export async function knownWorkloads(
  config: Config,
  named: readonly string[] | undefined,
): Promise<KnownWorkloads> {
  if (named !== undefined) return { addresses: named.map(checked), origin: "--workload" };
  const byDaemon = await orNull(async () => {
    const { data } = dump.safeParse(await readAdmin(adminUrl({}, config), "/config_dump?redacted"));
    return data?.snapshot.workloads ?? null;
  });
  if (byDaemon !== null) return { addresses: addressesOf(byDaemon), origin: "of the daemon" };
  const path = `/v1/mesh/workloads?host=${encodeURIComponent(config.host)}`;
  const byRegistry = await orNull(() => readRegistry(config, path, workloadList));
  if (byRegistry !== null) return { addresses: addressesOf(byRegistry), origin: "of the registry" };
  return { addresses: [], origin: null };
}

function checked(address: string): string {
  if (isIP(address) !== 0) return address;
  throw new CliError(`--workload ${address}: expected an IPv4 or IPv6 address`, {
    exitCode: EXIT.usage,
  });
}

function addressesOf(workloads: readonly { readonly addresses: readonly string[] }[]): string[] {
  return [...new Set(workloads.flatMap(({ addresses }) => addresses))];
}

/** Who cannot be reached, or is of another version, is not an error here: the next one is asked. */
async function orNull<T>(ask: () => Promise<T | null>): Promise<T | null> {
  try {
    return await ask();
  } catch (reason) {
    if (reason instanceof CliError) return null;
    throw reason;
  }
}
