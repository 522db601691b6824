import type { DataEndpoint, DataService } from "../core/snapshot.ts";
import type { RateLimitRule } from "../core/traffic.ts";
import type { RequestHead } from "../http/message.ts";
import type { Cluster } from "./clusters.ts";
import { type Origin, sourceKey } from "./context.ts";
import type { Plane } from "./plane.ts";
import type { Destination } from "./resolve.ts";
import type { Planner, RoutePlan } from "./route-plan.ts";
import type { RouteRequest } from "./routing/match/route-request.ts";
import {
  type RateLimiter,
  rateLimitError,
  rateLimitFields,
} from "./routing/policy/rate-limiter.ts";
import { overflow } from "./routing/policy/service-limits.ts";

/** The limits that one request is counted against: of its route, of the called service, and of its endpoint. */
export class RequestLimits {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #planner: Planner;
  /** Slot of the service on which the request counts; -1: on none. */
  #slot = -1;
  #isAdmitted = false;
  /** Lines that tell the caller what is left of its rate. */
  lines = "";

  constructor(plane: Plane, origin: Origin, planner: Planner) {
    this.#plane = plane;
    this.#origin = origin;
    this.#planner = planner;
  }

  /** Throws `RATE_LIMITED` or `CIRCUIT_OPEN`. */
  begin(destination: Destination, plan: RoutePlan, head: RequestHead): void {
    if (destination.kind === "outside") return;
    const limiter = plan.parts?.limiter ?? null;
    if (limiter !== null) this.#limit(limiter, head, destination.cluster);
    const { settings, slot, service } = destination.cluster;
    const max = settings.connections?.maxRequests;
    if (max === undefined || slot < 0) return;
    if (!this.#plane.serviceLimits.tryRequest(slot, max)) {
      throw overflow("requests", service.key, max);
    }
    this.#slot = slot;
  }

  /** A request for this endpoint. Its own limits hold where the endpoint is, once for each request. */
  admit(cluster: Cluster, endpoint: DataEndpoint, head: RequestHead): void {
    if (this.#isAdmitted || !endpoint.local) return;
    this.#isAdmitted = true;
    const rules = rateLimitsOf(cluster.service);
    if (rules !== null) this.#limit(this.#plane.routes.limiterOf(rules), head, cluster);
  }

  #limit(limiter: RateLimiter<RouteRequest>, head: RequestHead, called: Cluster): void {
    const { identity, workload } = this.#origin;
    const source = {
      identity,
      account: workload === null ? "" : `${workload.namespace}/${workload.serviceAccount}`,
      key: identity === "" ? sourceKey(this.#origin) : identity,
    };
    const verdict = limiter.check(this.#planner.requestOf(head, called), source);
    if (verdict === null) return;
    const fields = rateLimitFields(verdict);
    if (!verdict.allowed) {
      const error = rateLimitError(verdict);
      error.answer = { fields };
      throw error;
    }
    this.lines = "";
    for (let at = 0; at < fields.length; at += 2)
      this.lines += `${fields[at]}: ${fields[at + 1]}\r\n`;
  }

  end(): void {
    if (this.#slot >= 0) this.#plane.serviceLimits.endRequest(this.#slot);
    this.#slot = -1;
    this.#isAdmitted = false;
    this.lines = "";
  }
}

/** The limits that a service has where its endpoints are: what its own policy says, not that of some caller. */
function rateLimitsOf({ traffic }: DataService): readonly RateLimitRule[] | null {
  const own = traffic?.at(-1);
  return own?.clients === null ? (own.settings.rateLimits ?? null) : null;
}
