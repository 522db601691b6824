import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { CliError } from "../cli-error.ts";
import { callRegistry } from "../registry.ts";

const dumpSchema = z.looseObject({
  version: z.string(),
  revision: z.number(),
  settings: z.record(z.string(), z.unknown()),
  snapshot: z.looseObject({
    services: z.array(
      z.looseObject({
        key: z.string(),
        addresses: z.array(z.string()),
        endpoints: z.array(z.looseObject({ id: z.string() })),
      }),
    ),
    // Older daemons do not tell them.
    policies: z.record(z.string(), z.unknown()).optional(),
  }),
});

/** What `/config_dump` has that can be compared. */
export type ConfigDump = z.infer<typeof dumpSchema>;

/** The registry asks the daemon, whose snapshot may be large. */
const PATIENCE_MS = 15_000;

/** The redacted dump of a host's daemon, by way of the registry. */
export function readHostDump(config: Config, host: string): Promise<unknown> {
  const path = `/v1/mesh/sight/hosts/${encodeURIComponent(host)}/config`;
  return callRegistry(config, { method: "GET", path, timeoutMs: PATIENCE_MS });
}

/** Throws a CliError where it is no dump. */
export function parseDump(answer: unknown, host: string): ConfigDump {
  const { data, error } = dumpSchema.safeParse(answer);
  if (data !== undefined) return data;
  throw new CliError(`the dump of host ${host} is not understood: ${z.prettifyError(error)}`, {
    remedy: "Use the hostmesh command of the daemon's own version.",
    cause: error,
  });
}
