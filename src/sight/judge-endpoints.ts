import type { EndpointFigures, ServiceFigures } from "./mesh-report.ts";

/** So many times the usual of the others stands out. */
const FACTOR = 3;
/** Below it, nobody feels the difference. */
const FELT_MS = 5;
/** With less than this part of an equal share, an endpoint has lost its traffic. */
const LOST = 0.5;
/** Answers within the window that a median needs: one or two may only have been unlucky. */
const FEW_ANSWERS = 3;
/** Answers within the window that a share of failures needs. */
const FEW_FOR_SHARE = 10;
/** An endpoint that fails more than the rest of this, while its peers all do better than the other, is to blame itself. */
const FAILING = 0.9;
const HEALTHY = 0.99;

/** One endpoint against the others of its service. Several may hold at once. */
export interface EndpointVerdict {
  readonly endpoint: EndpointFigures;
  /** Half of its answers take three times what they take elsewhere, and at least 5 ms more. */
  readonly isSlow: boolean;
  /** Below 90 % succeed, while all its peers are above 99 %. */
  readonly isFailing: boolean;
  readonly isEjected: boolean;
  /**
   * It has lost its traffic and its cost says why, but not its answers: tries at it failed and were repeated
   * elsewhere, or nothing was sent to it within the window.
   */
  readonly isAvoided: boolean;
  /** It is sent less than half of an equal share. */
  readonly hasLostTraffic: boolean;
  /** What it would get were all the same, 0 to 1: by weight. */
  readonly fairShare: number;
  /** Usual median of the others in ms; null: too few answers. */
  readonly usualMs: number | null;
  /** Usual cost of the others in ms; null: nobody measured them. */
  readonly usualCostMs: number | null;
}

/**
 * Judges each endpoint of a service against the others. How slow it is is told by its answers and not by the balancer's
 * estimate: in that a failure counts as a slow answer and one late answer stays for seconds, so that on a busy host it
 * blames the wrong one.
 */
export function judgeEndpoints(service: ServiceFigures, windowMs: number): EndpointVerdict[] {
  const { endpoints } = service;
  const weights = endpoints.reduce((total, { weight }) => total + weight, 0);
  const medianOf = (one: EndpointFigures) =>
    answersOf(one, windowMs) < FEW_ANSWERS ? null : one.p50Ms;
  return endpoints.map((endpoint) => {
    const others = endpoints.filter((one) => one !== endpoint);
    const usualMs = usual(others.map(medianOf));
    const usualCostMs = usual(others.map(({ latencyEwmaMs }) => latencyEwmaMs));
    const isSlow = standsOut(medianOf(endpoint), usualMs);
    const fairShare = weights === 0 ? 0 : endpoint.weight / weights;
    const hasLostTraffic =
      others.length > 0 && endpoint.share !== null && endpoint.share < LOST * fairShare;
    const isFailing = failsAlone(endpoint, others, windowMs);
    const isEjected = endpoint.ejectedBy.length > 0;
    const hasReason = isSlow || isFailing || isEjected || endpoint.health === "critical";
    const isAvoided =
      hasLostTraffic && !hasReason && standsOut(endpoint.latencyEwmaMs, usualCostMs);
    return {
      ...{ endpoint, isSlow, isFailing, isEjected, isAvoided },
      ...{ hasLostTraffic, fairShare, usualMs, usualCostMs },
    };
  });
}

function answersOf({ rps }: EndpointFigures, windowMs: number): number {
  return (rps * windowMs) / 1_000;
}

function standsOut(own: number | null, others: number | null): boolean {
  return own !== null && others !== null && own >= FACTOR * others && own - others >= FELT_MS;
}

function failsAlone(
  endpoint: EndpointFigures,
  others: readonly EndpointFigures[],
  windowMs: number,
): boolean {
  const tells = (one: EndpointFigures) => answersOf(one, windowMs) >= FEW_FOR_SHARE;
  const peers = others.filter((one) => one.success !== null && tells(one));
  const { success } = endpoint;
  if (success === null || success >= FAILING || !tells(endpoint)) return false;
  return peers.length > 0 && peers.every((one) => (one.success ?? 0) >= HEALTHY);
}

/** The lower median: of two peers the better one, as the other may be in trouble itself. */
function usual(values: readonly (number | null)[]): number | null {
  const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? null;
}
