import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { withOpenFiles } from "../contestants/open-files.ts";
import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import type { HttpProtocol, Target } from "../model.ts";

const SCRIPT = fileURLToPath(
  new URL(`./hold-connections${extname(import.meta.url)}`, import.meta.url),
);
const HOLD_MS = 60_000;
/** Descriptors beside those of connections. */
export const SPARE_FILES = 512;

/**
 * Opens connections in a process of the bench, each of which carries one request and then idles until the workbench is
 * closed. Resolves once all are answered; rejects where one is not.
 */
export async function holdConnections(
  bench: Workbench,
  site: Site,
  { host, port, authority }: Target,
  { connections, protocol }: { readonly connections: number; readonly protocol: HttpProtocol },
): Promise<void> {
  if (connections === 0) return;
  const args = [host, String(port), authority, String(connections), protocol];
  const node = [process.execPath, SCRIPT, ...args];
  const limited = await withOpenFiles(node, connections + SPARE_FILES);
  const command = site.command(site.a, "load", limited);
  await bench.startAnnounced(`idle connections to port ${port}`, command, HOLD_MS);
}
