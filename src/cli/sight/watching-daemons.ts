import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { CliError } from "../cli-error.ts";
import { readRegistry } from "../registry.ts";

const status = z.looseObject({
  daemons: z.array(
    z.looseObject({ host: z.string(), connectedMs: z.number(), silentMs: z.number() }),
  ),
});

export type WatchingDaemon = z.infer<typeof status>["daemons"][number];

/**
 * The daemons that watch any of the settings' registries, by host. A daemon watches one of them; where two say they have it,
 * it has just changed over, and the one that heard of it last is right. Registries that cannot be asked are left out.
 */
export async function watchingDaemons(config: Config): Promise<Map<string, WatchingDaemon>> {
  const all = await Promise.all(config.registry.urls.map((url) => ofOne(config, url)));
  const found = new Map<string, WatchingDaemon>();
  for (const daemon of all.flat()) {
    const other = found.get(daemon.host);
    if (other === undefined || daemon.silentMs < other.silentMs) found.set(daemon.host, daemon);
  }
  return found;
}

async function ofOne(config: Config, url: string): Promise<readonly WatchingDaemon[]> {
  const one: Config = { ...config, registry: { ...config.registry, urls: [url] } };
  try {
    return (await readRegistry(one, "/v1/mesh/status", status)).daemons;
  } catch (reason) {
    if (reason instanceof CliError) return [];
    throw reason;
  }
}
