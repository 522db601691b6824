import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { CallShape } from "../h2/request.ts";
import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import type { Contestant, Missing, Mode, Peer, Protocol } from "../model.ts";
import { openIssuer } from "./credentials.ts";
import { Crew } from "./crew.ts";
import { type Entry, WARM_UP_SECONDS } from "./entry.ts";
import { type FieldContext, routesTo } from "./field-context.ts";
import { findPeer } from "./find-peer.ts";
import { hostmeshHost, programHost } from "./host-entries.ts";
import { hostmeshMesh } from "./mesh-entry.ts";
import { hostmeshPair, programPairs } from "./pair-entries.ts";
import type { Address } from "./relay.ts";

/** What shall be compared. */
export interface FieldRequest {
  readonly modes: readonly Mode[];
  readonly peers: readonly Peer[];
  readonly protocol: Protocol;
  /** What the calls of gRPC will be; absent: unary. */
  readonly shape?: CallShape;
  /** Two proxies speak mutual TLS with each other. One shared proxy on the same host has nobody to speak it with. */
  readonly tls: boolean;
  /** One for each service `web-0`, `web-1`, ... */
  readonly upstreams: readonly Address[];
  /** The most that the load will open. */
  readonly connections: number;
  /** Worker threads or processes of every proxy. */
  readonly workers: number;
  /** null: `envoy` on PATH. */
  readonly envoyBinary: string | null;
  /** Where generated configuration and command lines are kept, in a folder for each contestant. */
  readonly configFolder: string;
}

export interface Field {
  /** Each has delivered a whole body of every service. */
  readonly contestants: readonly Contestant[];
  /** Who was asked for and is not there, and why. */
  readonly missing: readonly Missing[];
}

/**
 * Starts everybody who can be measured here. A contestant that does not start is missing and disturbs nobody; rejects
 * only where the bench was broken off, or where the upstream itself does not answer.
 */
export async function startField(
  bench: Workbench,
  site: Site,
  request: FieldRequest,
): Promise<Field> {
  const contestants: Contestant[] = [];
  const missing: Missing[] = [];
  for (const entry of await listEntries(bench, site, request)) {
    const started = "reason" in entry ? entry : await tryToStart(bench, site, request, entry);
    if ("reason" in started) missing.push(started);
    else contestants.push(started);
  }
  return { contestants, missing };
}

/** Everybody who was asked for, mode by mode. */
async function listEntries(
  bench: Workbench,
  site: Site,
  request: FieldRequest,
): Promise<(Entry | Missing)[]> {
  const { modes, peers, envoyBinary } = request;
  const routes = routesTo(request.upstreams);
  const needsKeys = request.tls && modes.includes("sidecar");
  const issuer = needsKeys ? await openIssuer(await keyFolder(bench)) : null;
  const context: FieldContext = { site, request, routes, issuer };
  const entries: (Entry | Missing)[] = modes.includes("direct") ? [direct(context)] : [];
  const [hosts, pairs]: (Entry | Missing)[][] = [[], []];
  for (const peer of peers) {
    if (peer === "hostmesh") {
      const mesh = hostmeshMesh(context);
      if (mesh === null) {
        hosts?.push(hostmeshHost(context));
        pairs?.push(hostmeshPair(context));
      } else {
        // Shared proxies and a pair at once: it is started for either mode, and not twice for both.
        (modes.includes("host") ? hosts : pairs)?.push(mesh);
      }
      continue;
    }
    const program = await findPeer(peer, envoyBinary);
    if ("reason" in program) {
      entries.push({ name: peer, reason: program.reason });
      continue;
    }
    hosts?.push(programHost(context, program));
    pairs?.push(...programPairs(context, program));
  }
  if (modes.includes("host")) entries.push(...(hosts ?? []));
  if (modes.includes("sidecar")) entries.push(...(pairs ?? []));
  return entries;
}

/** The upstreams themselves. */
function direct({ routes }: FieldContext): Entry {
  const targets = routes.map(({ authority, to }) => ({ ...to, authority, connect: false }));
  return {
    ...{ name: "direct", peer: null, mode: "direct", between: "none", version: process.version },
    warmUpSeconds: WARM_UP_SECONDS.others,
    start: () => Promise.resolve({ targets, tlsPorts: [] }),
  };
}

async function tryToStart(
  bench: Workbench,
  site: Site,
  { configFolder, protocol, shape }: FieldRequest,
  { name, peer, mode, between, version, warmUpSeconds, start }: Entry,
): Promise<Contestant | Missing> {
  const crew = await Crew.open({ bench, site, name, configFolder });
  try {
    const { targets, tlsPorts, verify, observe } = await start(crew);
    await crew.untilAnswers(protocol, targets, shape);
    await verify?.();
    return {
      ...{ name, between, ...(await observe?.()) },
      ...{ peer, mode, version, targets, tlsPorts, warmUpSeconds },
      ...{ proxies: crew.proxies, configFiles: crew.files },
    };
  } catch (error) {
    if (peer === null || (error instanceof Error && error.name === "AbortError")) throw error;
    crew.abandon();
    return { name, reason: reasonOf(error) };
  }
}

/** What a program prints before it gives up can be long. */
const REASON_LENGTH = 600;

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.includes('unknown directive "stream"')
    ? "nginx has no stream module: apt-get install libnginx-mod-stream"
    : text.slice(0, REASON_LENGTH);
}

/** Goes with the workbench: private keys are kept nowhere else. */
async function keyFolder(bench: Workbench): Promise<string> {
  const folder = join(bench.folder, "keys");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return folder;
}
