import type { Clock } from "../core/clock.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { ErrorReport } from "../sight/host-report.ts";
import { nameOf } from "./pair.ts";
import { traceIdOf } from "./trace-context.ts";

export interface FailureTellerOptions {
  /** Further ones within a second are not told. */
  readonly perSecond: number;
  readonly clock: Clock;
  /** Time of day. */
  readonly wall: () => number;
  readonly tell: (failure: ErrorReport) => void;
}

const METHOD_LENGTH = 32;
const PATH_LENGTH = 256;

/** Tells the main thread of failed exchanges, at a bounded rate: a flood of them must not cost more than it does anyway. */
export class FailureTeller {
  readonly #options: FailureTellerOptions;
  #secondMs = Number.NEGATIVE_INFINITY;
  #left = 0;

  constructor(options: FailureTellerOptions) {
    this.#options = options;
  }

  /** Of an exchange that failed. */
  tell(facts: Readonly<RequestFacts>): void {
    const { clock, perSecond } = this.#options;
    const nowMs = clock.now();
    if (nowMs - this.#secondMs >= 1_000) {
      this.#secondMs = nowMs;
      this.#left = perSecond;
    }
    if (this.#left === 0) return;
    this.#left--;
    this.#options.tell({
      atMs: Math.round(this.#options.wall() - facts.durationMs),
      source: nameOf(facts.source),
      destination: facts.service?.key ?? "none",
      endpoint: facts.endpoint?.id ?? null,
      method: facts.method.slice(0, METHOD_LENGTH),
      path: pathOf(facts.target),
      status: facts.status,
      error: facts.error,
      traceId: traceIdOf(facts.traceparent),
    });
  }
}

/** Of the target in any form (RFC 9112 section 3.2); an absolute one may begin with a login. */
function pathOf(target: string): string {
  const [path = ""] = target.split(/[?#]/, 1);
  const authorityEnd = path.startsWith("/") ? 0 : path.indexOf("/", path.indexOf("//") + 2);
  return authorityEnd === -1 ? "" : path.slice(authorityEnd, authorityEnd + PATH_LENGTH);
}
