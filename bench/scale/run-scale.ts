import { openSite } from "../lib/site.ts";
import type { Missing, Peer, ScaleDimension, ScaleRow } from "../model.ts";
import { formatConnections, formatProtocol } from "../result/workload-label.ts";
import { measurePoint, type PointContext, type PointOptions } from "./measure-point.ts";
import { ACTIVE, loadOf, pointName, pointsOf, type ScalePoint } from "./scale-point.ts";
import { type Found, findPeers } from "./start-shared.ts";

export interface ScaleOptions extends PointOptions {
  readonly peers: readonly Peer[];
  /** null: `envoy` on PATH. */
  readonly envoyBinary: string | null;
  readonly dimensions: readonly ScaleDimension[];
  /** How many services, endpoints or connections; workers go up to the CPUs. */
  readonly points: readonly number[];
}

export type ScaleContext = Omit<PointContext, "site">;

export interface ScaleOutcome {
  /** In the order of dimensions and points. */
  readonly rows: readonly ScaleRow[];
  /** Who could not be measured, and why. */
  readonly missing: readonly Missing[];
  /** How it was measured, and what limits it. */
  readonly notes: readonly string[];
  /** False where it was broken off; the rows then are those of whole points. */
  readonly isComplete: boolean;
}

const METHOD = [
  "scale, services and known: each has one endpoint with an address of its own; services: all are called; known: the same 10 are called, and the proxy only knows of the others; endpoints: those of one service, of which every proxy takes the less loaded of two random ones; connections: so many idle ones, each of which has carried one request, beside those that are active",
  "scale, steady state: load until every endpoint has been asked for and hardly any connection is opened; a sample in which more than one connection is opened for a hundred requests is invalid",
];

/**
 * Cost of one shared proxy while services, endpoints, connections or workers grow. Whoever fails at a point is missing
 * there, and the others go on. Rejects with the signal's reason where not a single point was measured.
 */
export async function runScale(
  context: ScaleContext,
  options: ScaleOptions,
): Promise<ScaleOutcome> {
  const { found, missing } = await findPeers(options.peers, options.envoyBinary);
  const state: State = { rows: [], missing: [...missing], notes: [loadNote(options), ...METHOD] };
  const points = options.dimensions.flatMap((one) => pointsOf(one, options.points));
  for (const point of points) {
    try {
      await onePoint(context, options, { point, found, state });
    } catch (error) {
      if (!context.signal.aborted || state.rows.length === 0) throw error;
      return { ...state, isComplete: false };
    }
  }
  return { ...state, isComplete: true };
}

function loadNote({ protocol }: ScaleOptions): string {
  const load = loadOf(protocol, ACTIVE);
  return `scale: one shared proxy on one host, ${formatProtocol(protocol)}, 115 bytes, ${formatConnections(load)} that ask as fast as they are answered; requests go to the services in turn`;
}

interface State {
  readonly rows: ScaleRow[];
  readonly missing: Missing[];
  readonly notes: string[];
}

/** The CPUs depend on the number of workers, so each point has a site of its own. */
async function onePoint(
  context: ScaleContext,
  options: ScaleOptions,
  given: { readonly point: ScalePoint; readonly found: readonly Found[]; readonly state: State },
): Promise<void> {
  const { point, found, state } = given;
  const site = await openSite("same-host", { workers: point.workers, signal: context.signal });
  try {
    if (point.dimension === "workers") {
      state.notes.push(`scale, ${pointName(point)}: ${site.note}`);
    }
    const { rows, missing } = await measurePoint({ ...context, site }, point, found, options);
    state.rows.push(...rows);
    state.missing.push(...missing);
  } finally {
    await site.close();
  }
}
