import { canonicalAddress } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import type { PolicyTarget } from "../core/policy.ts";
import { type DataEndpoint, targetOfWorkload } from "../core/snapshot.ts";
import type { RequestHead } from "../http/message.ts";
import type { ToCluster } from "./clusters.ts";
import type { Origin } from "./context.ts";
import { toMeshError } from "./failure.ts";
import type { Plane } from "./plane.ts";
import type { Destination } from "./resolve.ts";
import type { AuthorizationRequest, WorkloadAuthorizer } from "./routing/authorize/authorizer.ts";
import type { TokenPlace, TokenResult } from "./routing/authorize/token-result.ts";
import type { PolicyTrial } from "./routing/authorize/workload-authorizer.ts";
import { meshRoute } from "./secure-transport.ts";

const SCHEME = "spiffe://";

/** What a token changes of the request that the application gets. */
export interface TokenEffects {
  readonly strip: readonly TokenPlace[];
  readonly add: readonly string[];
}

/** Told exactly once of what `ask` found, unless `end` comes first. */
export interface AdmissionHandler {
  /** `error`: what forbids it; null: nothing does. */
  onAdmission(error: MeshError | null): void;
}

export interface RevocationHandler {
  /** The request that is under way is no longer allowed. */
  onRevoked(error: MeshError): void;
}

/** A workload of this host, at one of its ports. */
export interface Guarded {
  readonly target: PolicyTarget;
  readonly address: string;
  readonly port: number;
}

/**
 * May this caller reach this workload? Asked on the host where the workload lives, for every request and connection, and
 * again when policies change. One object serves all requests of one client connection.
 */
export class Admission {
  readonly #plane: Plane;
  readonly #origin: Origin;
  readonly #request: AuthorizationRequest;
  #guarded: Guarded | null = null;
  #effects: TokenEffects | null = null;
  /** Tells a late answer from one to the present question. */
  #turn = 0;
  /** Is a signature being verified? */
  #pending = false;

  constructor(plane: Plane, origin: Origin) {
    this.#plane = plane;
    this.#origin = origin;
    this.#request = {
      principal: origin.identity.startsWith(SCHEME) ? origin.identity.slice(SCHEME.length) : "",
      sourceAddress: origin.address,
      remoteAddress: origin.address,
      destinationAddress: "",
      destinationPort: 0,
      head: null,
      path: "",
      claims: null,
      sni: "",
    };
  }

  /** What the token of the last request changes; null: there was none. */
  get effects(): TokenEffects | null {
    return this.#effects;
  }

  /** An opaque connection. Returns what forbids it, or null. */
  connection(guarded: Guarded): MeshError | null {
    const authorizer = this.#begin(guarded, null);
    return authorizer.open ? null : this.#decide(authorizer);
  }

  /**
   * A request to a workload of this host (null: to another's, which asks for itself). The handler is told at once, but for
   * the first use of a token, whose signature must be verified.
   */
  ask(guarded: Guarded | null, head: RequestHead, handler: AdmissionHandler): void {
    if (guarded === null) {
      this.end();
      handler.onAdmission(null);
      return;
    }
    const authorizer = this.#begin(guarded, head);
    if (authorizer.open) {
      handler.onAdmission(null);
      return;
    }
    const { tokens } = authorizer;
    const found = tokens === null ? null : tokens.check(head);
    if (!(found instanceof Promise)) {
      handler.onAdmission(this.#judge(authorizer, found));
      return;
    }
    const turn = this.#turn;
    const { version } = this.#plane.authorizer;
    this.#pending = true;
    const judge = (result: TokenResult | null): void => {
      // The client may be gone by now, and the connection may be about another request.
      if (turn !== this.#turn) return;
      this.#pending = false;
      // Keys and policies may have changed meanwhile: what holds now counts.
      if (version !== this.#plane.authorizer.version) this.ask(guarded, head, handler);
      else handler.onAdmission(this.#judge(authorizer, result));
    };
    found.then(judge).catch((reason: unknown) => {
      if (turn === this.#turn) handler.onAdmission(toMeshError(reason));
    });
  }

  /**
   * Policies have changed: tells the handler what forbids now the request that was allowed, if anything does. Its token is
   * checked anew, since keys and issuers may be gone.
   */
  review(handler: RevocationHandler): void {
    const { head } = this.#request;
    const guarded = this.#guarded;
    if (guarded === null || head === null || this.#pending) return;
    const authorizer = this.#plane.authorizer.for(guarded.target);
    if (authorizer.open) return;
    const judge = (result: TokenResult | null) => {
      const error = this.#judge(authorizer, result);
      if (error !== null) handler.onRevoked(error);
    };
    const found = authorizer.tokens === null ? null : authorizer.tokens.check(head);
    if (!(found instanceof Promise)) {
      judge(found);
      return;
    }
    const turn = this.#turn;
    const { version } = this.#plane.authorizer;
    const judgeLate = (result: TokenResult | null): void => {
      if (turn !== this.#turn) return;
      if (version === this.#plane.authorizer.version) judge(result);
      else this.review(handler);
    };
    found.then(judgeLate).catch((reason: unknown) => {
      if (turn === this.#turn) handler.onRevoked(toMeshError(reason));
    });
  }

  /** Of an opaque connection the same: what forbids now what was allowed before, or null. */
  again(): MeshError | null {
    const guarded = this.#guarded;
    if (guarded === null) return null;
    const authorizer = this.#plane.authorizer.for(guarded.target);
    return authorizer.open ? null : this.#decide(authorizer);
  }

  /** For people: what each policy makes of what was asked last, before `end`. */
  trials(): readonly PolicyTrial[] {
    const guarded = this.#guarded;
    if (guarded === null) return [];
    return this.#plane.authorizer.for(guarded.target).trials(this.#fill(guarded));
  }

  /** The request or connection is over. */
  end(): void {
    this.#turn += 1;
    this.#pending = false;
    this.#guarded = null;
    this.#effects = null;
    this.#request.head = null;
    this.#request.claims = null;
  }

  #begin(guarded: Guarded, head: RequestHead | null): WorkloadAuthorizer {
    this.#guarded = guarded;
    this.#effects = null;
    this.#request.head = head;
    this.#request.claims = null;
    return this.#plane.authorizer.for(guarded.target);
  }

  /** What policies are asked about: put together only where there are any. */
  #fill({ address, port }: Guarded): AuthorizationRequest {
    const request = this.#request;
    const { head } = request;
    request.destinationAddress = address;
    request.destinationPort = port;
    request.path = head === null ? "" : withoutQuery(head.path);
    if (head !== null) request.remoteAddress = remoteAddress(this.#origin, head);
    return request;
  }

  #judge(authorizer: WorkloadAuthorizer, result: TokenResult | null): MeshError | null {
    const { tokens } = authorizer;
    if (tokens === null) return this.#decide(authorizer);
    const guarded = tokens.guardedHeaders.map((name) => ({ kind: "header", name }) as const);
    if (result === null) this.#effects = { strip: guarded, add: [] };
    else if (!result.ok) return new MeshError("TOKEN_INVALID", result.reason);
    else {
      this.#effects = { strip: [...result.strip, ...guarded], add: result.add };
      this.#request.claims = result.claims;
    }
    return this.#decide(authorizer);
  }

  #decide(authorizer: WorkloadAuthorizer): MeshError | null {
    const guarded = this.#guarded as Guarded;
    const request = this.#fill(guarded);
    const { target } = guarded;
    if (request.principal === "" && authorizer.mtls(request.destinationPort) === "strict") {
      return new MeshError("PLAINTEXT_REFUSED", `${this.#origin.address} to ${target.key}`);
    }
    const verdict = authorizer.decide(request);
    if (verdict.allowed) return null;
    const caller = request.principal === "" ? this.#origin.address : request.principal;
    const why = verdict.policy === "" ? "no ALLOW policy matches" : verdict.policy;
    return new MeshError("ACCESS_DENIED", `${caller}: ${why}`);
  }
}

/**
 * The workload of this host that is reached at an endpoint; null where that lives on another host, which asks for itself.
 * Whoever is dialled in the clear is where the address is, whatever a record says of its host: a ServiceEntry or a slice of
 * addresses must open nobody's door.
 */
export function guardedAt(
  plane: Plane,
  destination: ToCluster,
  endpoint: DataEndpoint,
  origin: Origin,
): Guarded | null {
  if (isGuarded(endpoint)) return endpoint;
  const { address, port, local } = endpoint;
  const workload = plane.workloads.at(address);
  if (workload === null) return null;
  const { isMeshed } = plane.transport;
  if (!local && isMeshed && meshRoute(destination, endpoint, origin, "tcp") !== undefined) {
    return null;
  }
  const target = plane.services.targetAt(address, port) ?? targetOfWorkload(workload);
  return { target, address, port };
}

/** Does the endpoint's place belong to another workload now than when it was chosen? */
export function isTakenOver(plane: Plane, endpoint: DataEndpoint | null): boolean {
  if (endpoint?.identity === undefined) return false;
  const { address, port, identity } = endpoint;
  if (plane.services.isTakenOver(address, port, identity)) return true;
  const owner = plane.workloads.at(address);
  const isRegistered = owner !== null && plane.services.localAt(address, port, identity) === null;
  return isRegistered && owner.identity !== identity;
}

function isGuarded(endpoint: DataEndpoint): endpoint is DataEndpoint & Guarded {
  return endpoint.target !== undefined;
}

/** A local workload that was dialled at a port where it has registered nothing; null where it is none. */
export function guardedOutside(plane: Plane, destination: Destination): Guarded | null {
  if (destination.kind !== "outside") return null;
  const address = canonicalAddress(destination.host);
  const workload = plane.workloads.at(address);
  if (workload === null) return null;
  return { target: targetOfWorkload(workload), address, port: destination.port };
}

function withoutQuery(path: string): string {
  const mark = path.indexOf("?");
  return mark === -1 ? path : path.slice(0, mark);
}

/**
 * The client that the last proxy before the mesh names: the rightmost of X-Forwarded-For, as Envoy takes it without
 * trusted hops. From another host the last entry is the one which that host's daemon added, so it does not count.
 */
function remoteAddress(origin: Origin, head: RequestHead): string {
  if (head.forwardedFor === "") return origin.address;
  const named = head.forwardedFor.split(",");
  if (origin.entry === "mesh") named.pop();
  const last = named.at(-1)?.trim() ?? "";
  return last === "" ? origin.address : canonicalAddress(last);
}
