import { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import { endedBadly } from "../core/grpc.ts";
import type { Share } from "../core/share.ts";
import type { RequestHead } from "../http/message.ts";
import { isSampledIn } from "../telemetry/trace-context.ts";
import { type Origin, trafficSource } from "./context.ts";
import { newDetails } from "./details.ts";
import { beginFacts, describe, mayHaveFailed, newFacts } from "./exchange-facts.ts";
import type { Plane } from "./plane.ts";
import { identify } from "./propagation.ts";
import { RequestSpans } from "./request-spans.ts";
import type { RequestState } from "./request-state.ts";

/** The account of a connection's requests: each is counted when it begins and recorded exactly once at its end. */
export class Ledger {
  readonly facts: RequestFacts;
  readonly #plane: Plane;
  readonly #origin: Origin;
  #counted = false;
  #admitted = false;
  #hadNoRoom = false;

  constructor(plane: Plane, origin: Origin) {
    this.#plane = plane;
    this.#origin = origin;
    this.facts = newFacts(origin);
  }

  /** Before anything of the request itself is kept. `complete`: it has come whole. */
  begin(nowMs: number, share: Share | null, complete = false): void {
    this.#hadNoRoom = share?.full ?? false;
    beginFacts(this.facts, this.#origin, nowMs);
    if (!this.#plane.watch.details) return;
    this.facts.details = newDetails(this.#origin);
    if (complete) this.facts.details.requestEndMs = nowMs;
  }

  /** More of the request has come; `complete`: all of it. */
  arrived(state: RequestState, complete: boolean): void {
    state.complete = complete;
    const { details } = this.facts;
    if (complete && details !== null) details.requestEndMs = this.#plane.clock.now();
  }

  /** Counts the request against its workload's quotas. Throws `QUOTA_REQUESTS` or `QUOTA_BUFFERS`. */
  admit(): void {
    const { workload } = this.#origin;
    this.#count();
    if (workload === null) return;
    const { workloadInFlight: max, workloadBufferBytes } = this.#plane.config.limits;
    if (this.#hadNoRoom) {
      throw new MeshError("QUOTA_BUFFERS", `${workload.key}, limit ${workloadBufferBytes} bytes`);
    }
    if (!this.#plane.quotas.tryBegin(workload.slot, max)) {
      throw new MeshError("QUOTA_REQUESTS", `${workload.key}, limit ${max}`);
    }
    this.#admitted = true;
  }

  #count(): void {
    this.#counted = true;
    this.#plane.recorder.started(trafficSource(this.#origin), this.facts.service);
  }

  /** Gives the request its ids, and spans if it is sampled. */
  identify(head: RequestHead, state: RequestState): void {
    state.ids = identify(head, this.#plane);
    if (isSampledIn(state.ids)) state.spans = this.#spansOf(head, state.ids);
  }

  #spansOf(head: RequestHead, ids: string): RequestSpans | null {
    const { tracing } = this.#plane;
    if (tracing === null) return null;
    const parts = { plane: this.#plane, tracing, origin: this.#origin };
    return new RequestSpans(parts, this.facts, head, ids);
  }

  /** A request that failed is recorded even where nobody sampled it, if the operator wants that. */
  #spansOfFailure(head: RequestHead | null, ids: string): RequestSpans | null {
    const { tracing } = this.#plane;
    if (tracing?.errors !== true || head === null || ids === "") return null;
    return endedBadly(this.facts) ? this.#spansOf(head, ids) : null;
  }

  /** Gives back what the request held and records it. `head` is null where no request could be read. */
  close(
    error: MeshError | null,
    head: RequestHead | null,
    state: RequestState,
    nowMs: number,
  ): void {
    const { facts } = this;
    const { ids, spans } = state;
    state.spans = null;
    if (!this.#counted) this.#count();
    this.#counted = false;
    if (this.#admitted) this.#plane.quotas.end(this.#origin.workload?.slot ?? 0);
    this.#admitted = false;
    facts.ids = ids;
    if (facts.details !== null) {
      facts.details.request = head;
      facts.details.failure = error?.message ?? "";
    }
    facts.error = error?.code ?? null;
    if (this.#plane.watch.texts || mayHaveFailed(facts)) describe(facts, head, ids);
    facts.durationMs = nowMs - facts.startMs;
    this.#plane.recorder.exchange(facts);
    (spans ?? this.#spansOfFailure(head, ids))?.end();
    facts.details = null;
  }
}
