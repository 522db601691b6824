import { MeshError } from "../core/errors.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { Share } from "../core/share.ts";
import type { RequestHead } from "../http/message.ts";
import { type Origin, trafficSource } from "./context.ts";
import { newDetails } from "./details.ts";
import { beginFacts, describe, mayHaveFailed, newFacts } from "./exchange-facts.ts";
import type { Plane } from "./plane.ts";
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

  /** Gives back what the request held and records it. `head` is null where no request could be read. */
  close(error: MeshError | null, head: RequestHead | null, ids: string, nowMs: number): void {
    const { facts } = this;
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
    facts.details = null;
  }
}
