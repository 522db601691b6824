/**
 * What would become of one imagined request, as the daemon of its source finds it out with the code of its data path and
 * without sending anything. Times in ms.
 */

/** The request that is imagined. */
export interface ExplainRequest {
  /** `namespace/name` of a workload of the asked host or of a service that one serves, or an address; "": a stranger. */
  readonly source: string;
  /** `http://HOST[:PORT]`, `HOST[:PORT]`, or `tcp://HOST:PORT` for a connection that is no HTTP. */
  readonly destination: string;
  readonly method: string;
  /** With query. */
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** SPIFFE ID; given, the request comes from another host of the mesh as this one, and `destination` is an endpoint here. */
  readonly fromIdentity?: string;
}

export const EXPLAIN_STAGES = [
  "source",
  "destination",
  "protocol",
  "route",
  "fault",
  "limits",
  "rewrite",
  "mirror",
  "backend",
  "endpoints",
  "transport",
  "authorisation",
  "retries",
  "timeouts",
] as const;
export type ExplainStage = (typeof EXPLAIN_STAGES)[number];

/** One decision on the way. */
export interface ExplainStep {
  readonly stage: ExplainStage;
  /** What was decided. */
  readonly decision: string;
  /** What it follows from. */
  readonly because: string;
  /** The resource that says so, as `Kind namespace/name`; null: none. */
  readonly resource: string | null;
  /** What else was looked at, a line each, in order. */
  readonly details: readonly string[];
}

/** An endpoint of the chosen backend. */
export interface ExplainedEndpoint {
  readonly id: string;
  readonly address: string;
  readonly port: number;
  readonly host: string;
  /** Why no request goes there now; null: requests may. */
  readonly excluded: string | null;
  readonly weight: number;
  readonly inFlight: number;
  /** Null: nobody has measured it yet. */
  readonly latencyMs: number | null;
  /** What the balancer compares, the least first; null: the policy compares nothing. */
  readonly cost: number | null;
}

export interface ExplainOutcome {
  /** `forward`: to an endpoint; `answer`: a rule answers itself; `outside`: to a place outside the mesh; `refused`: an error. */
  readonly kind: "forward" | "answer" | "outside" | "refused";
  /** Of the answer, where the data path gives it; null: an endpoint does, or it is no HTTP. */
  readonly status: number | null;
  /** Code of docs/errors.md; null: there is none. */
  readonly error: string | null;
  readonly text: string;
  /** The endpoint that the balancer chose this time. */
  readonly endpoint: ExplainedEndpoint | null;
  /** The other host that still judges whether the caller may, and what to ask it; null: all is judged. */
  readonly next: {
    readonly host: string;
    readonly request: ExplainRequest;
  } | null;
}

export interface Explanation {
  readonly host: string;
  /** That the answer is of. */
  readonly revision: number;
  readonly steps: readonly ExplainStep[];
  /** Of the chosen backend, in the balancer's order. */
  readonly endpoints: readonly ExplainedEndpoint[];
  readonly outcome: ExplainOutcome;
}
