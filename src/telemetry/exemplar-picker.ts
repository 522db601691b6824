import type { RequestFacts } from "../core/facts.ts";
import { REQUEST_SECONDS } from "./buckets.ts";
import type { TracedRequest } from "./exemplar-book.ts";
import type { Flow } from "./pair.ts";
import { isSampledIn, traceIdOf, traceparentIn } from "./trace-context.ts";

/** For one flow and bucket; Prometheus keeps one for each scrape, which are 15 s apart by default. */
const FRESH_MS = 5_000;
/** Of one worker, so that a thousand flows cannot make it talk all the time. */
const MOST_PER_SECOND = 50;

/**
 * Chooses the requests that metrics name as examples: of those whose trace is recorded one for each flow and bucket once in
 * a while. Nothing is allocated for the others.
 */
export class ExemplarPicker {
  readonly #tell: (request: TracedRequest) => void;
  readonly #wallMs: () => number;
  readonly #toldMs = new WeakMap<Flow, Float64Array>();
  #second = 0;
  #told = 0;

  constructor(tell: (request: TracedRequest) => void, wallMs: () => number = Date.now) {
    this.#tell = tell;
    this.#wallMs = wallMs;
  }

  /** `fine`: bucket of the duration. */
  offer(flow: Flow, facts: Readonly<RequestFacts>, fine: number): void {
    if (facts.ids === "" || !isSampledIn(facts.ids)) return;
    const nowMs = facts.startMs + facts.durationMs;
    const bucket = REQUEST_SECONDS.ofFine[fine] ?? 0;
    const told = this.#toldMs.get(flow) ?? this.#begin(flow);
    if (nowMs - (told[bucket] ?? 0) < FRESH_MS || !this.#may(nowMs)) return;
    told[bucket] = nowMs;
    const traceId = traceIdOf(traceparentIn(facts.ids));
    const { durationMs } = facts;
    this.#tell({ flow: flow.handle.key, traceId, durationMs, atMs: this.#wallMs() });
  }

  #begin(flow: Flow): Float64Array {
    const told = new Float64Array(REQUEST_SECONDS.bounds.length + 1).fill(Number.NEGATIVE_INFINITY);
    this.#toldMs.set(flow, told);
    return told;
  }

  #may(nowMs: number): boolean {
    const second = Math.floor(nowMs / 1000);
    if (second !== this.#second) this.#told = 0;
    this.#second = second;
    this.#told += 1;
    return this.#told <= MOST_PER_SECOND;
  }
}
