import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";

/** The upstream's process: `.ts` in a checkout, `.js` in the built package. */
const SCRIPT = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url));
const START_MS = 30_000;
/** The addresses of 127.1.0.0/16 without those that end with 0 or 255. */
const MOST_ADDRESSES = 256 * 254;

export interface UpstreamOptions {
  readonly services: number;
  /**
   * All services share one port then, and each has so many loopback addresses of its own: for thousands of endpoints
   * without thousands of listeners. Only processes in the servers' place reach them.
   */
  readonly addressesPerService?: number;
}

export interface UpstreamService {
  readonly host: string;
  readonly port: number;
  /** Every address that reaches it; `host` is the first. */
  readonly addresses: readonly string[];
}

/** The process that answers all requests of a measurement. */
export interface Upstream {
  readonly pid: number;
  readonly services: readonly UpstreamService[];
}

/** Starts it in the servers' place. Rejects with what it said where it cannot listen. */
export async function startUpstream(
  bench: Workbench,
  site: Site,
  { services, addressesPerService }: UpstreamOptions,
): Promise<Upstream> {
  const isShared = addressesPerService !== undefined;
  const [host, count] = isShared ? ["0.0.0.0", 1] : [site.b.address, services];
  if (services * (addressesPerService ?? 1) > MOST_ADDRESSES) {
    throw new RangeError(`an upstream has no more than ${MOST_ADDRESSES} addresses`);
  }
  const node = [process.execPath, SCRIPT, host, String(count)];
  const command = site.command(site.b, "upstream", node);
  const { pid, line } = await bench.startAnnounced("the upstream", command, START_MS);
  const ports = JSON.parse(line) as number[];
  return {
    pid,
    services: Array.from({ length: services }, (_, at) => {
      const addresses = addressesPerService === undefined ? [host] : ours(at, addressesPerService);
      return { host: addresses[0] ?? host, port: ports[isShared ? 0 : at] ?? 0, addresses };
    }),
  };
}

function ours(service: number, count: number): string[] {
  return Array.from({ length: count }, (_, at) => loopback(service * count + at));
}

function loopback(number: number): string {
  return `127.1.${Math.floor(number / 254)}.${1 + (number % 254)}`;
}
