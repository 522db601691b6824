import type { Random } from "../../src/core/random.ts";
import type { Timers } from "../../src/registry/timers.ts";
import { describeError, type Log } from "../../src/telemetry/log.ts";
import type { TraceFigures } from "../../src/telemetry/metric-declaration.ts";
import { attributesText } from "../../src/telemetry/tracing/otlp-json.ts";
import type { SpanBatch } from "../worker-messages.ts";
import type { Collector, ExportAnswer } from "./collector.ts";
import { exportBody, type WaitingSpan } from "./export-request.ts";
import { retryPauseMs } from "./retry-pause.ts";

export interface SpanExporterDeps {
  readonly collector: Collector;
  readonly settings: {
    readonly batchSpans: number;
    readonly intervalMs: number;
    readonly queueSpans: number;
    readonly timeoutMs: number;
  };
  /** Name of this host, and version of the program. */
  readonly host: string;
  readonly version: string;
  readonly timers: Timers;
  /** The time of day in ms since 1970. */
  readonly wall: () => number;
  readonly random: Random;
  readonly log: Log;
}

/** After so long a batch is given up: newer spans are worth more than it. */
const MAX_RETRY_MS = 60_000;

/**
 * Sends the spans of all workers to a collector, one batch at a time, on the main thread. Nobody waits for it: while the collector is
 * slow or gone spans wait in a queue with a limit, and those for which there is no room are dropped and counted.
 */
export class SpanExporter {
  readonly #deps: SpanExporterDeps;
  readonly #hostAttributes: string;
  #queue: WaitingSpan[] = [];
  #exported = 0;
  #dropped = 0;
  #refused = 0;
  #underWay: Promise<void> | null = null;
  #cancelTimer: (() => void) | null = null;
  /** Ends the pause before another try. */
  #hurry: (() => void) | null = null;
  #isClosing = false;
  readonly #closed = new AbortController();
  /** Is the collector known to fail? It is logged once, not for each batch. */
  #isFailing = false;

  constructor(deps: SpanExporterDeps) {
    this.#deps = deps;
    this.#hostAttributes = attributesText(["host.name", deps.host]);
  }

  take({ spans, dropped }: SpanBatch): void {
    this.#dropped += dropped;
    const { queueSpans } = this.#deps.settings;
    for (let at = 0; at + 1 < spans.length; at += 2) {
      if (this.#queue.length >= queueSpans) this.#dropped += 1;
      else this.#queue.push({ resource: spans[at] ?? "", span: spans[at + 1] ?? "" });
    }
    this.#arrange();
  }

  stats(): TraceFigures {
    const [exported, dropped, refused] = [this.#exported, this.#dropped, this.#refused];
    return { exported, dropped, refused, waiting: this.#queue.length };
  }

  /** Sends what waits, for `limitMs` at most; what is left then is dropped. Takes nothing after it. */
  async close(limitMs: number): Promise<void> {
    this.#isClosing = true;
    this.#hurry?.();
    const cancel = this.#deps.timers.after(limitMs, () => this.#closed.abort());
    while (this.#underWay !== null || (this.#queue.length > 0 && !this.#closed.signal.aborted)) {
      this.#underWay ??= this.#send();
      await this.#underWay;
    }
    cancel();
    this.#cancelTimer?.();
    this.#dropped += this.#queue.length;
    this.#queue = [];
    await this.#deps.collector.close();
  }

  /** A full batch goes at once, a smaller one when it is old enough. */
  #arrange(): void {
    const { batchSpans, intervalMs } = this.#deps.settings;
    if (this.#underWay !== null || this.#queue.length === 0 || this.#isClosing) return;
    if (this.#queue.length >= batchSpans) this.#begin();
    else this.#cancelTimer ??= this.#deps.timers.after(intervalMs, () => this.#begin());
  }

  #begin(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    if (this.#underWay === null && this.#queue.length > 0) this.#underWay = this.#send();
  }

  async #send(): Promise<void> {
    const batch = this.#queue.splice(0, this.#deps.settings.batchSpans);
    const body = exportBody(batch, this.#hostAttributes, this.#deps.version);
    const sinceMs = this.#deps.wall();
    for (let failures = 1; ; failures++) {
      const answer = await this.#ask(body);
      const pauseMs = this.#pauseAfter(answer, failures, sinceMs);
      if (pauseMs === null) {
        this.#settle(answer, batch.length);
        break;
      }
      await this.#pause(pauseMs);
    }
    this.#underWay = null;
    this.#arrange();
  }

  /** Null: it is not tried again. */
  #pauseAfter(answer: ExportAnswer, failures: number, sinceMs: number): number | null {
    if (answer.kind !== "busy" || this.#isClosing) return null;
    this.#complain(answer.reason);
    const { wall, random } = this.#deps;
    const nowMs = wall();
    const pauseMs = retryPauseMs(failures, answer.retryAfter, nowMs, random);
    return nowMs - sinceMs + pauseMs > MAX_RETRY_MS ? null : pauseMs;
  }

  async #ask(body: string): Promise<ExportAnswer> {
    const { collector, settings } = this.#deps;
    const signal = AbortSignal.any([AbortSignal.timeout(settings.timeoutMs), this.#closed.signal]);
    try {
      return await collector.send(body, signal);
    } catch (error) {
      return { kind: "busy", reason: describeError(error), retryAfter: "" };
    }
  }

  #settle(answer: ExportAnswer, spans: number): void {
    switch (answer.kind) {
      case "taken": {
        const refused = Math.min(answer.refusedSpans, spans);
        this.#exported += spans - refused;
        this.#refused += refused;
        if (refused > 0) this.#complain(answer.message);
        else this.#recover();
        return;
      }
      case "refused":
        this.#refused += spans;
        this.#complain(answer.reason);
        return;
      case "busy":
        this.#dropped += spans;
        this.#complain(answer.reason);
    }
  }

  #complain(reason: string): void {
    if (!this.#isFailing) this.#deps.log.warn("spans are not taken by the collector", { reason });
    this.#isFailing = true;
  }

  #recover(): void {
    if (this.#isFailing) this.#deps.log.info("the collector takes spans again");
    this.#isFailing = false;
  }

  async #pause(pauseMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#deps.timers.after(pauseMs, resolve);
      this.#hurry = () => {
        cancel();
        resolve();
      };
      if (this.#isClosing) this.#hurry();
    });
    this.#hurry = null;
  }
}
