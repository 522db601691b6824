import { MeshError } from "../../../core/errors.ts";
import type { RouteTimeouts } from "../../../core/traffic.ts";
import type { Overrides } from "./overrides.ts";

/** Time limits of one request in ms, 0 for none. */
export interface TimeLimits {
  readonly requestMs: number;
  /** Of one try, until its response begins. */
  readonly perTryMs: number;
  readonly idleMs: number;
}

/**
 * What holds for a request: its own wish before the rule's, the rule's before the service's, that before the daemon's
 * (`defaults`). What is left to the caller (deadline propagation) shortens the request's time and never lengthens it.
 */
export function timeLimits(
  defaults: TimeLimits,
  layers: readonly (RouteTimeouts | undefined)[],
  perTryMs: number | undefined,
  overrides: Overrides | null,
): TimeLimits {
  const requestMs = overrides?.requestMs ?? firstOf(layers, "requestMs") ?? defaults.requestMs;
  return {
    requestMs: shorter(requestMs, overrides?.deadlineMs ?? 0),
    perTryMs: overrides?.perTryMs ?? perTryMs ?? firstOf(layers, "perTryMs") ?? defaults.perTryMs,
    idleMs: firstOf(layers, "idleMs") ?? defaults.idleMs,
  };
}

function firstOf(
  layers: readonly (RouteTimeouts | undefined)[],
  field: keyof RouteTimeouts,
): number | undefined {
  for (const layer of layers) {
    const ms = layer?.[field];
    if (ms !== undefined) return ms;
  }
  return;
}

/** Of two limits the one that ends first; 0 is none. */
function shorter(one: number, other: number): number {
  if (one === 0 || other === 0) return one + other;
  return Math.min(one, other);
}

/** The failure of a request whose whole time is over. */
export function requestTimeout(peer: string, limitMs: number): MeshError {
  return new MeshError("REQUEST_TIMEOUT", `${peer} within ${limitMs} ms`);
}

/** The failure of a try that had no response in its own time. */
export function tryTimeout(peer: string, limitMs: number): MeshError {
  return new MeshError("TRY_TIMEOUT", `${peer} within ${limitMs} ms`);
}
