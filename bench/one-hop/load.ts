import { fileURLToPath } from "node:url";
import { pinned } from "../lib/pinning.ts";
import type { Tool } from "../lib/tools.ts";
import type { Workbench } from "../lib/workbench.ts";
import { parseWrk, wrkArguments } from "../lib/wrk.ts";
import { type Contestant, SERVICE } from "./contestant.ts";

/** What a load got through. */
export interface LoadResult {
  readonly requests: number;
  /** Bytes of bodies; with opaque TCP all bytes that came back. */
  readonly bytes: number;
  readonly seconds: number;
  /** Median and 99th percentile of the latency, where the load measures it. */
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
  /** Empty, or why the figures are worthless. */
  readonly problems: readonly string[];
}

export type Load = (to: Contestant, bodyBytes: number, seconds: number) => Promise<LoadResult>;

/** Beyond its own duration: start, and responses that are late. */
const GRACE_MS = 15_000;

const VARY = fileURLToPath(new URL("../lib/vary.lua", import.meta.url));

/** Keep-alive requests with wrk, one thread. `vary`: no two of them alike. */
export function wrkLoad(
  bench: Workbench,
  wrk: Tool,
  { connections, vary }: { readonly connections: number; readonly vary: boolean },
  cpu: number | null,
): Load {
  return async ({ port }, bodyBytes, seconds) => {
    const url = `http://127.0.0.1:${port}/${bodyBytes}`;
    const args = wrkArguments({
      ...{ url, host: SERVICE, connections, seconds },
      script: vary ? VARY : null,
    });
    const command = pinned([wrk.path, ...args], cpu);
    const result = parseWrk(await bench.run("wrk", command, seconds * 1_000 + GRACE_MS));
    return { ...result, bytes: result.requests * bodyBytes };
  };
}

const TUNNEL_LOAD = fileURLToPath(new URL("../lib/tunnel-load.ts", import.meta.url));

/** Responses over opaque connections, with a program of our own. */
export function tunnelLoad(bench: Workbench, connections: number, cpu: number | null): Load {
  return async ({ port, connectTo }, bodyBytes, seconds) => {
    const numbers = [port, `/${bodyBytes}`, bodyBytes, connections, seconds].map(String);
    const target = connectTo === null ? [] : [connectTo];
    const command = pinned([process.execPath, TUNNEL_LOAD, ...numbers, ...target], cpu);
    const text = await bench.run("tunnel load", command, seconds * 1_000 + GRACE_MS);
    return parseTunnelLoad(text, seconds);
  };
}

/** Parses the line that the tunnel load prints. */
export function parseTunnelLoad(text: string, seconds: number): LoadResult {
  const [, requests, bytes, failed] = /^(\d+) (\d+) (\d+)$/m.exec(text) ?? [];
  if (requests === undefined) throw new Error(`not a report of the tunnel load: ${text}`);
  const problems = failed === "0" ? [] : [`${failed} connections failed`];
  if (requests === "0") problems.push("no response was completed");
  return {
    ...{ requests: Number(requests), bytes: Number(bytes), seconds },
    ...{ p50Ms: null, p99Ms: null, problems },
  };
}
