import type { ExplainedEndpoint } from "../../core/explanation.ts";
import type { DataEndpoint } from "../../core/snapshot.ts";
import type { Cluster } from "../clusters.ts";
import type { Plane } from "../plane.ts";
import { LeastRequest } from "../upstream/balance/least-request.ts";
import { PeakEwma } from "../upstream/balance/peak-ewma.ts";

/** The endpoints of a cluster's service: those that requests may go to first, by cost; of all others why none goes there. */
export function explainEndpoints(plane: Plane, cluster: Cluster): ExplainedEndpoint[] {
  const members = new Map(cluster.endpoints.map((one) => [one.slot, one]));
  const usable = cluster.endpoints.filter((one) => stateReason(plane, one) === null);
  const meanWeight = usable.reduce((sum, { weight }) => sum + weight, 0) / usable.length;
  const found = cluster.service.endpoints.map((endpoint) => {
    const member = members.get(endpoint.slot);
    const excluded =
      member === undefined
        ? absence(plane, cluster, endpoint)
        : stateReason(plane, member, cluster.settings.accrual !== undefined);
    return explained(plane, cluster, member ?? endpoint, excluded, meanWeight);
  });
  return found.sort(
    (a, b) =>
      Number(a.excluded !== null) - Number(b.excluded !== null) ||
      (a.cost ?? 0) - (b.cost ?? 0) ||
      (a.id < b.id ? -1 : 1),
  );
}

function explained(
  { endpoints: state, clock }: Plane,
  { service, settings }: Cluster,
  endpoint: DataEndpoint,
  excluded: string | null,
  meanWeight: number,
): ExplainedEndpoint {
  const { slot, id, address, port, host, weight } = endpoint;
  const nowMs = clock.now();
  const { policy } = settings.balancer ?? service.balancer;
  const share = weight / meanWeight;
  const metric =
    policy === "peak-ewma"
      ? new PeakEwma(state)
      : policy === "least-request"
        ? new LeastRequest(state)
        : null;
  return {
    ...{ id, address, port, host, excluded, weight },
    inFlight: state.inFlight(slot),
    latencyMs: state.isMeasured(slot) ? state.latencyAt(slot, nowMs) : null,
    cost: excluded === null && metric !== null ? metric.cost(slot, share, nowMs) : null,
  };
}

/** Why no request goes to an endpoint of the cluster now; null: requests may. */
function stateReason(
  { endpoints: state, clock }: Plane,
  { slot, weight, health }: DataEndpoint,
  accrues = true,
): string | null {
  if (health === "critical") return "its health checks fail";
  if (weight === 0) return "its weight is 0";
  const nowMs = clock.now();
  if (state.isEjected(slot, nowMs)) {
    const left = Math.ceil((state.ejectedUntil(slot) - nowMs) / 1_000);
    return `ejected by this host for ${left} s more`;
  }
  if (accrues && state.accrual.isShut(slot))
    return "shut by failure accrual until a probe succeeds";
  return null;
}

/** Why an endpoint of the service is none of the cluster. */
function absence(
  { own }: Plane,
  { choice, settings, service, endpoints }: Cluster,
  endpoint: DataEndpoint,
): string {
  const { address, port, portName, local, away } = endpoint;
  if (service.ports.length > 0 && portName !== choice.portName) {
    return `serves port ${portName || "without a name"}, not ${choice.portName || "the one without a name"}`;
  }
  if (own.has(address, port)) return "is a port of this proxy itself";
  if (settings.locality?.only === "host" && !local) return "is not on this host";
  if (away !== undefined && endpoints.length > 0) return "the daemon of its host is away";
  return choice.subset === ""
    ? "is none of this backend"
    : `has not the labels of subset ${choice.subset}`;
}
