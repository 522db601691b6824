import { formatHostPort } from "../../core/address.ts";
import { MeshError } from "../../core/errors.ts";
import type {
  ExplainedEndpoint,
  ExplainOutcome,
  ExplainRequest,
  Explanation,
} from "../../core/explanation.ts";
import type { DataEndpoint, DataWorkload } from "../../core/snapshot.ts";
import type { RequestHead } from "../../http/message.ts";
import { type Guarded, guardedAt, guardedOutside } from "../admission.ts";
import type { Cluster, ToCluster } from "../clusters.ts";
import { newFacts } from "../exchange-facts.ts";
import { toMeshError } from "../failure.ts";
import { answerOf } from "../local-answer.ts";
import { declaredBy } from "../peek.ts";
import type { Plane } from "../plane.ts";
import { RequestLimits } from "../request-limits.ts";
import {
  type Destination,
  hashFor,
  type Outside,
  pickEndpoint,
  Router,
  refuseForbidden,
  resolveAddress,
  resolveMesh,
} from "../resolve.ts";
import { goesRound, normalize } from "../rewrite.ts";
import { calledPort } from "../route-backend.ts";
import { Planner } from "../route-plan.ts";
import { routeTcp } from "../route-tcp.ts";
import { RoutedHeads } from "../routed-head.ts";
import { abortError } from "../routing/policy/faults.ts";
import { explainAccess, statusOfError } from "./explain-access.ts";
import { explainEndpoints } from "./explain-endpoints.ts";
import { explainEffects, explainRules, explainTries, type SaysSo } from "./explain-rules.ts";
import { explainElsewhere, explainTransport, nextRequest } from "./explain-transport.ts";
import { type Imagined, imagine } from "./imagined.ts";
import { StepList } from "./step-list.ts";

/** What is explained from, beside the plane. */
export interface ExplainFacts {
  /** Of this host. */
  readonly workloads: readonly DataWorkload[];
  /** The resources that say a field of a cluster's settings; null: none. */
  readonly says: SaysSo;
}

/** The largest number that a source of randomness gives. */
const LEAST_LUCKY = 1 - Number.EPSILON / 2;

/** One imagined request on its way through a plane that nobody else uses. */
class Explainer {
  readonly list = new StepList();
  readonly #plane: Plane;
  readonly #facts: ExplainFacts;
  readonly #request: ExplainRequest;
  readonly #imagined: Imagined;
  readonly #planner: Planner;
  readonly #limits: RequestLimits;
  endpoints: readonly ExplainedEndpoint[] = [];

  constructor(plane: Plane, facts: ExplainFacts, request: ExplainRequest) {
    this.#plane = plane;
    this.#facts = facts;
    this.#request = request;
    this.#imagined = imagine(plane, facts.workloads, request);
    const { origin } = this.#imagined;
    this.#planner = new Planner(plane, origin, newFacts(origin));
    this.#limits = new RequestLimits(plane, origin, this.#planner);
  }

  async run(): Promise<ExplainOutcome> {
    this.#source();
    try {
      const { head } = this.#imagined;
      return await (head === null ? this.#connection() : this.#http(head));
    } catch (reason) {
      const error = toMeshError(reason);
      const status = this.#imagined.head === null ? null : statusOfError(error);
      return { ...REFUSED, status, error: error.code, text: error.message };
    } finally {
      this.#limits.end();
    }
  }

  #source(): void {
    const { origin } = this.#imagined;
    const { workload, identity, address, peer } = origin;
    if (peer !== null) {
      const because = `another host has proved it, and has met ${peer.presented || "nobody"} here`;
      this.list.add("source", identity, because);
      return;
    }
    const proved = identity === "" ? "without identity" : identity;
    if (workload === null) this.list.add("source", "a stranger", `${address} is no workload here`);
    else this.list.add("source", `${workload.key}, ${proved}`, `its address is ${address}`);
    const scope = this.#plane.scopes.of(origin);
    if (scope === null) return;
    const outside = scope.outside === null ? "" : `; outside the mesh: ${scope.outside}`;
    this.list.add("source", `sees only what its scope names${outside}`, "a scope selects it", {
      resource: scope.source,
    });
  }

  async #http(head: RequestHead): Promise<ExplainOutcome> {
    const plane = this.#plane;
    const { origin } = this.#imagined;
    normalize(head, plane.config.mesh);
    const called = new Router(plane, origin).route(head);
    this.#called(called);
    if (goesRound(head)) throw new MeshError("LOOP", `Via: ${head.via.slice(0, 100)}`);
    if (called.kind === "cluster" && this.#protocol(called) === "opaque") {
      return this.#onward(routeTcp(plane, origin, called, newFacts(origin)), null);
    }
    const destination = this.#plan(head, called);
    const { plan } = this.#planner;
    if (destination.kind === "outside") return this.#onward(destination, head);
    if (plan.parts !== null) explainEffects(plan.parts, this.list);
    const cors = plan.parts?.cors?.judge(head) ?? null;
    const source = plan.parts?.compiled.source ?? null;
    if (cors?.kind === "preflight") return answered(cors.status, `CORS of ${source}`);
    // What is drawn even by the least lucky number is certain.
    const fault = plan.parts?.faults?.draw(head, () => LEAST_LUCKY) ?? null;
    if (fault !== null && fault.status !== 0) throw abortError(fault);
    this.#rates(destination, head);
    const answer = answerOf(plan, head, origin, 1);
    if (answer !== null) {
      const at = answer.fields.indexOf("Location");
      const to = at === -1 ? "" : ` to ${answer.fields[at + 1]}`;
      return answered(answer.status, `${source} answers itself${to}`);
    }
    const sent = new RoutedHeads(plane.config).of(head, plan);
    this.#rewritten(head, sent);
    return this.#onward(destination, sent);
  }

  /** The rule and the backend; throws where they lead nowhere, after it has said why. */
  #plan(head: RequestHead, called: Destination): Destination {
    const planner = this.#planner;
    const isRouted =
      called.kind === "cluster" && called.fixed === null && this.#imagined.origin.peer === null;
    try {
      return planner.make(head, called);
    } finally {
      if (isRouted) {
        const request = planner.requestOf(head, called.cluster);
        const subject = { protocol: "http", request } as const;
        explainRules(called.cluster, subject, planner.plan.parts, this.list);
      }
    }
  }

  #called(destination: Destination): void {
    const { dialled, origin } = this.#imagined;
    if (destination.kind === "outside") {
      const { host, port } = destination;
      const because = `${dialled} is no address of the mesh`;
      this.list.add("destination", `${formatHostPort(host, port)}, outside the mesh`, because);
      return;
    }
    const { cluster, fixed } = destination;
    const port = cluster.choice.portName === "" ? "" : ` port ${cluster.choice.portName}`;
    const how =
      origin.peer !== null
        ? "another host asks for this endpoint"
        : fixed !== null
          ? "an endpoint was dialled itself: nothing is routed or balanced"
          : origin.destination === null
            ? "its host name leads there"
            : "it is the service's virtual address, or one of its host names";
    const at = fixed === null ? "" : `, endpoint ${fixed.id}`;
    this.list.add("destination", `${cluster.service.key}${port}${at}`, `${dialled}: ${how}`);
  }

  #protocol(destination: ToCluster): "http" | "opaque" {
    const { origin } = this.#imagined;
    if (origin.destination === null || origin.peer !== null) return "http";
    const declared = declaredBy(destination, this.#plane);
    const because =
      declared === null
        ? "nobody declares it: the first bytes tell"
        : "its port or service says so";
    this.list.add("protocol", declared === "opaque" ? "opaque TCP" : "HTTP", because);
    return declared === "opaque" ? "opaque" : "http";
  }

  #rates({ cluster }: ToCluster, head: RequestHead): void {
    const { plan } = this.#planner;
    const rules = plan.parts?.rule.rateLimits ?? [];
    const max = cluster.settings.connections?.maxRequests;
    const details = [
      ...rules.map(({ name, requests, periodMs }) => `${name}: ${requests} in ${periodMs} ms`),
      ...(max === undefined ? [] : [`at most ${max} requests at the same time`]),
    ];
    if (details.length === 0) return;
    const resource =
      rules.length > 0
        ? (plan.parts?.compiled.source ?? null)
        : this.#facts.says(cluster, "connections");
    try {
      this.#limits.begin({ kind: "cluster", cluster, fixed: null }, plan, head);
      this.list.add("limits", "within its limits", "as they are used now", { resource, details });
    } catch (reason) {
      const error = toMeshError(reason);
      this.list.add("limits", `refused: ${error.code}`, error.message, { resource, details });
      throw error;
    }
  }

  #rewritten(head: RequestHead, sent: RequestHead): void {
    if (sent === head) return;
    const details = [];
    if (sent.path !== head.path) details.push(`path ${head.path} becomes ${sent.path}`);
    if (sent.host !== head.host) details.push(`host ${head.host} becomes ${sent.host}`);
    const before = namesOf(head);
    const after = namesOf(sent);
    for (const name of after) if (!before.has(name)) details.push(`adds ${name}`);
    for (const name of before) if (!after.has(name)) details.push(`removes ${name}`);
    const resource = this.#planner.plan.parts?.compiled.source ?? null;
    const decision = details.length === 0 ? "header values are changed" : "the head is changed";
    this.list.add("rewrite", decision, "the rule or its backend says so", { resource, details });
  }

  async #connection(): Promise<ExplainOutcome> {
    const plane = this.#plane;
    const { origin } = this.#imagined;
    const place = origin.destination as NonNullable<typeof origin.destination>;
    const called =
      origin.peer === null ? resolveAddress(plane, origin, place) : resolveMesh(plane, origin);
    this.#called(called);
    if (called.kind === "outside" || called.fixed !== null) return this.#onward(called, null);
    const source = { namespace: origin.workload?.namespace ?? "default", labels: {} };
    const labels = origin.workload?.labels ?? {};
    const port = calledPort(called.cluster, origin, null);
    const request = { address: place.host, port, source: { ...source, labels } };
    const found = plane.routes.setOf(called.cluster.service)?.findTcp(request) ?? null;
    const parts = found === null || found === "refuse" ? null : plane.routes.partsOf(found.rule);
    explainRules(called.cluster, { protocol: "tcp", request }, parts, this.list);
    if (parts !== null) explainEffects(parts, this.list);
    return this.#onward(routeTcp(plane, origin, called, newFacts(origin)), null);
  }

  /** From the backend on: balance, transport, authorise. */
  async #onward(destination: Destination, head: RequestHead | null): Promise<ExplainOutcome> {
    const plane = this.#plane;
    const { origin } = this.#imagined;
    if (destination.kind === "outside") return this.#outward(destination, head);
    const { cluster, fixed } = destination;
    this.endpoints = explainEndpoints(plane, cluster);
    const endpoint = this.#pick(destination, head);
    const hop = { destination, endpoint, origin };
    explainTransport(plane, hop, this.#facts.says, this.list);
    if (head !== null) this.#tries(cluster);
    if (head !== null) this.#limits.admit(cluster, endpoint, head);
    const guarded = guardedAt(plane, destination, endpoint, origin);
    const next = guarded === null ? nextRequest(hop, this.#request, head) : null;
    if (guarded === null) explainElsewhere(endpoint, next !== null, this.list);
    else await this.#permit(guarded, head);
    const chosen = this.endpoints.find(({ id }) => id === endpoint.id) ?? null;
    const text = `to ${endpoint.id} at ${formatHostPort(endpoint.address, endpoint.port)}${fixed === null ? "" : ", which was dialled itself"}`;
    return { kind: "forward", status: null, error: null, text, endpoint: chosen, next };
  }

  async #outward(destination: Outside, head: RequestHead | null): Promise<ExplainOutcome> {
    refuseForbidden(destination);
    const guarded = guardedOutside(this.#plane, destination);
    if (guarded !== null) await this.#permit(guarded, head);
    const text = `goes on to ${formatHostPort(destination.host, destination.port)} as it is`;
    return { ...REFUSED, kind: "outside", text };
  }

  /** Throws what forbids it. */
  async #permit(guarded: Guarded, head: RequestHead | null): Promise<void> {
    const error = await explainAccess(this.#plane, this.#imagined.origin, guarded, head, this.list);
    if (error !== null) throw error;
  }

  #pick(destination: ToCluster, head: RequestHead | null): DataEndpoint {
    const { cluster, fixed } = destination;
    const { origin } = this.#imagined;
    const usable = this.endpoints.filter(({ excluded }) => excluded === null);
    const { policy } = cluster.settings.balancer ?? cluster.service.balancer;
    const subset = cluster.choice.subset === "" ? "" : ` of subset ${cluster.choice.subset}`;
    const resource = this.#facts.says(cluster, "balancer");
    const details = this.endpoints.map(endpointText);
    const among = `${usable.length} of ${this.endpoints.length} endpoints${subset} take requests`;
    try {
      const hash = hashFor(cluster, origin, head);
      const endpoint = pickEndpoint(destination, hash, []);
      const how = fixed === null ? `by ${policy}${hash === -1 ? "" : ", hashed"}` : "was dialled";
      this.list.add("endpoints", endpoint.id, `${among}; ${how}`, { resource, details });
      return endpoint;
    } catch (reason) {
      const error = toMeshError(reason);
      this.list.add("endpoints", `refused: ${error.code}`, among, { resource, details });
      throw error;
    }
  }

  #tries(cluster: Cluster): void {
    explainTries(this.#plane, this.#planner.plan, cluster, this.#facts.says, this.list);
  }
}

const REFUSED: ExplainOutcome = {
  ...{ kind: "refused", status: null, error: null, text: "", endpoint: null, next: null },
};

function answered(status: number, text: string): ExplainOutcome {
  return { ...REFUSED, kind: "answer", status, text };
}

/** Lower-case names of a head's fields. */
function namesOf({ fields }: RequestHead): Set<string> {
  return new Set(fields.filter((_, at) => at % 2 === 0).map((name) => name.toLowerCase()));
}

function endpointText(endpoint: ExplainedEndpoint): string {
  const { id, address, port, excluded, weight, inFlight, latencyMs, cost } = endpoint;
  const place = `${id} at ${formatHostPort(address, port)}`;
  if (excluded !== null) return `${place}: ${excluded}`;
  const latency = latencyMs === null ? "not measured" : `${latencyMs.toFixed(1)} ms`;
  const compared = cost === null ? "" : `, cost ${cost.toFixed(1)}`;
  return `${place}: weight ${weight}, ${inFlight} in flight, ${latency}${compared}`;
}

/**
 * Runs an imagined request through routing and policy with the code of the data path, and tells each decision. `plane` must
 * be one that nobody else uses, over memory of its own: limits are taken from it. Throws a RangeError for a request that
 * cannot be imagined.
 */
export async function explainRequest(
  plane: Plane,
  facts: ExplainFacts,
  request: ExplainRequest,
): Promise<Explanation> {
  const explainer = new Explainer(plane, facts, request);
  const outcome = await explainer.run();
  return {
    host: plane.config.host,
    revision: plane.services.revision,
    steps: explainer.list.steps,
    endpoints: explainer.endpoints,
    outcome,
  };
}
