import type { DataEndpoint } from "../core/snapshot.ts";
import type { ToCluster } from "./clusters.ts";
import type { Plane } from "./plane.ts";
import { pickEndpoint } from "./resolve.ts";
import { isCandidate } from "./upstream/balance/candidates.ts";

/**
 * Endpoints that a request could go to and has not been sent to: those in service, or those that are ejected. Never one that
 * failure accrual has shut, nor any where the client dialled its endpoint itself.
 */
export function leftOf(
  plane: Plane,
  { cluster, fixed }: ToCluster,
  tried: readonly DataEndpoint[],
  kind: "in service" | "ejected",
): readonly DataEndpoint[] {
  if (fixed !== null) return [];
  const { endpoints: state, clock } = plane;
  const nowMs = clock.now();
  return cluster.endpoints.filter(
    (one) =>
      isCandidate(one) &&
      !wasTried(one, tried) &&
      !state.accrual.isShut(one.slot) &&
      state.isEjected(one.slot, nowMs) === (kind === "ejected"),
  );
}

/**
 * Picks an endpoint for a try behind one that failed without an answer. Where all that are in service have failed for this
 * very request, an ejected one is no worse, and in a rolling restart it is the one that is back: it goes before a second try
 * at the same. Throws like `pickEndpoint`.
 */
export function pickElsewhere(
  plane: Plane,
  destination: ToCluster,
  hash: number,
  tried: readonly DataEndpoint[],
): DataEndpoint {
  const picked = pickEndpoint(destination, hash, tried);
  if (!wasTried(picked, tried)) return picked;
  const left = leftOf(plane, destination, tried, "ejected");
  return left[Math.floor(plane.random() * left.length)] ?? picked;
}

/** By slot: an update between two tries brings new objects for the same endpoints. */
export function wasTried(endpoint: DataEndpoint, tried: readonly DataEndpoint[]): boolean {
  return tried.some(({ slot }) => slot === endpoint.slot);
}
