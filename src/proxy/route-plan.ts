import { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { RouteMatch } from "../core/traffic.ts";
import type { RequestHead } from "../http/message.ts";
import type { Cluster, ToCluster } from "./clusters.ts";
import { type Origin, sourceNamespace } from "./context.ts";
import type { Plane } from "./plane.ts";
import { type Destination, mayChooseRoutes } from "./resolve.ts";
import { type BackendCaller, calledPort, clusterOf, livingOf } from "./route-backend.ts";
import type { BackendParts, RouteParts } from "./route-parts.ts";
import { DESTINATION_OVERRIDE, destinationOverride } from "./routing/match/destination-override.ts";
import type { RouteRequest } from "./routing/match/route-request.ts";
import type { Fault } from "./routing/policy/faults.ts";
import { type Overrides, overriddenRetry, readOverrides } from "./routing/policy/overrides.ts";
import { RetryPolicy } from "./routing/policy/retry-policy.ts";
import { timeLimits } from "./routing/policy/time-limits.ts";
import type { HeadEdits } from "./routing/transform/head-edits.ts";

/** Retries that a request may ask for itself. */
const MOST_RETRIES = 10;
/** What holds where nobody says anything: the daemon's own limits, in `Forward`. */
const NO_LIMITS = { requestMs: 0, perTryMs: 0, idleMs: -1 };

/** What the rules and policies of a service say of one request. One object serves all requests of a connection. */
export class RoutePlan {
  /** Null: no rule speaks of it. */
  parts: RouteParts | null = null;
  match: RouteMatch | null = null;
  /** Null: the rule names no place of its own and changes nothing. */
  backend: BackendParts | null = null;
  /** Null: the daemon's own retries. */
  retry: RetryPolicy | null = null;
  /** Time limits in ms; 0: none; -1: the daemon's. */
  requestMs = 0;
  perTryMs = 0;
  idleMs = -1;
  overrides: Overrides | null = null;
  /** What is done to the request on purpose; null: nothing. */
  fault: Fault | null = null;
  /** CORS headers of the response. */
  corsEdits: HeadEdits | null = null;
  /** A `Set-Cookie` line by which the next request finds the same endpoint. */
  cookie = "";
  /** Does the request need anything of all this? */
  active = false;

  reset(): void {
    if (!this.active) return;
    this.active = false;
    this.parts = null;
    this.match = null;
    this.backend = null;
    this.retry = null;
    this.requestMs = 0;
    this.perTryMs = 0;
    this.idleMs = -1;
    this.overrides = null;
    this.fault = null;
    this.corsEdits = null;
    this.cookie = "";
  }
}

/** Finds out what the rules say of the requests of one connection, and which cluster they go to. */
export class Planner {
  readonly plan = new RoutePlan();
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #facts: RequestFacts;
  readonly #source: {
    readonly namespace: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly #mayOverride: boolean;
  readonly #mayChoose: boolean;
  /** Port of the service that was called. */
  #port = 0;
  /** What a ServiceProfile says of the request, besides the rule that routes it. */
  #profile: RouteParts | null = null;
  /** The head that was asked about last, and what it overrides. */
  #head: RequestHead | null = null;
  #overrides: Overrides | null = null;

  /** `facts` learn which rule it was. */
  constructor(plane: Plane, origin: Origin, facts: RequestFacts) {
    this.#plane = plane;
    this.#origin = origin;
    this.#facts = facts;
    const labels = origin.workload?.labels ?? {};
    this.#source = { namespace: sourceNamespace(origin), labels };
    this.#mayOverride = plane.config.mesh.requestOverrides !== "off" && origin.workload !== null;
    this.#mayChoose = mayChooseRoutes(plane, origin);
  }

  /**
   * Where the request goes. Rules hold on the caller's side and for calls of the service: what dials one endpoint, or
   * comes from another host, has been routed. Throws where the rules lead nowhere.
   */
  make(head: RequestHead, destination: Destination): Destination {
    const { plan } = this;
    plan.reset();
    this.#profile = null;
    if (destination.kind === "outside" || this.#origin.peer !== null) return destination;
    if (this.#mayOverride) this.#readOverrides(head);
    const { cluster, fixed } = destination;
    if (cluster.plain || fixed !== null) {
      if (this.#overrides !== null) this.#settle(cluster);
      return destination;
    }
    plan.active = true;
    this.#port = calledPort(cluster, this.#origin, head);
    this.#match(head, cluster);
    const chosen = this.#choose(destination);
    this.#settle(chosen.cluster);
    return chosen;
  }

  #readOverrides(head: RequestHead): void {
    if (head === this.#head && head.repeats) return;
    this.#head = head;
    this.#overrides = readOverrides(head);
    // Whoever has chosen is not told again where the request is to go.
    if (this.#mayChoose && destinationOverride(head) !== null) {
      this.#overrides ??= { strip: [] };
      this.#overrides.strip.push(DESTINATION_OVERRIDE);
    }
  }

  #match(head: RequestHead, cluster: Cluster): void {
    const { plan } = this;
    const { service } = cluster;
    const set = this.#plane.routes.setOf(service);
    if (set === null) return;
    const request = this.requestOf(head, cluster);
    const found = set.find(request);
    if (found === "refuse") {
      throw new MeshError(
        "ROUTE_NOT_FOUND",
        `no rule of ${service.key} matches ${head.method} ${head.path.slice(0, 100)}`,
      );
    }
    if (found !== null) {
      plan.parts = this.#plane.routes.partsOf(found.rule);
      plan.match = found.match;
      this.#facts.route = found.rule.label;
    }
    const profile = set.profile(request);
    if (profile !== null) this.#profile = this.#plane.routes.partsOf(profile);
  }

  /** The request as rules see it. */
  requestOf(head: RequestHead, called: Cluster): RouteRequest {
    return {
      head,
      host: hostOf(head.host),
      scheme: head.scheme === "" ? "http" : head.scheme,
      port: calledPort(called, this.#origin, head),
      source: this.#source,
    };
  }

  /** The backend's cluster, or the called service's own. */
  #choose(destination: ToCluster): ToCluster {
    const { plan } = this;
    const { parts } = plan;
    if (parts === null) return destination;
    const index = parts.compiled.pickBackend();
    const backend = index === -1 ? parts.own : (parts.backends[index] ?? null);
    plan.backend = backend;
    if (backend === null || index === -1) return destination;
    const living = livingOf(this.#caller, backend);
    plan.backend = living.backend;
    return { kind: "cluster", cluster: living.cluster, fixed: null };
  }

  /** Throws `BACKEND_UNKNOWN` where it leads nowhere. */
  clusterOf(backend: BackendParts["backend"]): Cluster {
    return clusterOf(this.#caller, backend);
  }

  get #caller(): BackendCaller {
    const source = this.plan.parts?.compiled.source ?? "a rule";
    return { plane: this.#plane, namespace: this.#source.namespace, port: this.#port, source };
  }

  /** Settings of the cluster, where no rule says otherwise, and what the request itself asks for before all. */
  #settle(cluster: Cluster): void {
    const { plan } = this;
    plan.active = true;
    const { timeouts, retry } = cluster.settings;
    const profile = this.#profile;
    this.#profile = null;
    plan.retry = plan.parts?.retry ?? profile?.retry ?? this.#plane.routes.retryOf(retry);
    const overrides = this.#overrides;
    plan.overrides = overrides;
    if (overrides !== null) {
      const wanted = overriddenRetry(plan.retry?.rule ?? null, overrides, MOST_RETRIES);
      plan.retry = wanted === null ? null : new RetryPolicy(wanted);
    }
    const layers = [plan.parts?.rule.timeouts, profile?.rule.timeouts, timeouts];
    const limits = timeLimits(NO_LIMITS, layers, plan.retry?.rule.perTryMs, overrides);
    plan.requestMs = limits.requestMs;
    plan.perTryMs = limits.perTryMs;
    plan.idleMs = limits.idleMs;
  }
}

/** Host of an authority, without its port. */
function hostOf(authority: string): string {
  const end = authority.lastIndexOf(":");
  return end === -1 || authority.endsWith("]") ? authority : authority.slice(0, end);
}
