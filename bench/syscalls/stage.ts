import { join } from "node:path";
import { type Field, startField } from "../contestants/start-field.ts";
import { openSite } from "../lib/site.ts";
import { Workbench } from "../lib/workbench.ts";
import type { Peer } from "../model.ts";
import { TinyUpstream } from "./upstream.ts";

/** More connections than any case opens. */
const CONNECTIONS = 256;

export interface Stage extends Field {
  readonly upstream: TinyUpstream;
  close(): Promise<void>;
}

/** Starts shared proxies, with one worker each and everything else as the bench measures it. */
export async function openStage(
  peers: readonly Peer[],
  protocol: "http1" | "tcp",
  signal: AbortSignal,
): Promise<Stage> {
  const open: { close(): Promise<void> }[] = [];
  const close = async () => {
    for (const one of open.splice(0).reverse()) await one.close();
  };
  try {
    const upstream = await TinyUpstream.start();
    open.push(upstream);
    const site = await openSite("same-host", { workers: 1, signal });
    open.push(site);
    const bench = await Workbench.open(signal);
    open.push(bench);
    const field = await startField(bench, site, {
      ...{ modes: ["host"], peers, protocol, tls: false, workers: 1, envoyBinary: null },
      ...{ upstreams: [upstream.address], connections: CONNECTIONS },
      configFolder: join(bench.folder, "config"),
    });
    return { ...field, upstream, close };
  } catch (error) {
    await close();
    throw error;
  }
}
