import { LRUCache } from "lru-cache";
import { fineBucket, REQUEST_SECONDS } from "./buckets.ts";
import type { Exemplar } from "./exposition.ts";

/** Flows whose exemplars are kept. */
const KEPT_FLOWS = 2_048;

/** What a worker tells of one request: its flow, as `SeriesGroup.key` has it, and its trace. */
export interface TracedRequest {
  readonly flow: string;
  readonly traceId: string;
  readonly durationMs: number;
  /** When it ended, of the day, since 1970. */
  readonly atMs: number;
}

/** The newest traced request of each flow for each bucket of `hostmesh_request_duration_seconds`. */
export class ExemplarBook {
  readonly #byFlow = new LRUCache<string, (Exemplar | undefined)[]>({ max: KEPT_FLOWS });

  learn({ flow, traceId, durationMs, atMs }: TracedRequest): void {
    let kept = this.#byFlow.get(flow);
    if (kept === undefined) {
      kept = new Array<Exemplar | undefined>(REQUEST_SECONDS.bounds.length + 1).fill(undefined);
      this.#byFlow.set(flow, kept);
    }
    const bucket = REQUEST_SECONDS.ofFine[fineBucket(durationMs)] ?? 0;
    kept[bucket] = { traceId, value: durationMs / 1000, atMs };
  }

  /** By bucket. */
  of(flow: string): readonly (Exemplar | undefined)[] | undefined {
    return this.#byFlow.peek(flow);
  }
}
