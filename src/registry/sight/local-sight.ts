import type { Clock } from "../../core/clock.ts";
import type { HostReport } from "../../sight/host-report.ts";
import { hostReportSchema } from "../../sight/host-report-schema.ts";
import type { AnyQuestion } from "../../sight/question.ts";
import type { TapItem } from "../../sight/tap-event.ts";
import { tapItemsSchema } from "../../sight/tap-schema.ts";
import type { Log } from "../log.ts";
import type { WatchedDaemon } from "../push.ts";
import { RegistryError } from "../registry-error.ts";
import type { Timers } from "../timers.ts";
import type { DaemonQuestions } from "./daemon-questions.ts";
import { QuestionCounts } from "./question-counts.ts";
import type { HostSight, SightSource, TapQuestion } from "./sight-source.ts";

/** A mesh's report waits so long for a daemon's. */
const REPORT_MS = 2_000;
/** A daemon that takes longer is asked again. */
const PATIENCE_MS = 10_000;
/** The last report of a daemon that does not answer is shown for so long. */
const STALE_MS = 10_000;

export interface LocalSightOptions {
  watched(): ReadonlyMap<string, WatchedDaemon>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

interface Known {
  readonly questions: DaemonQuestions;
  /** One question for a report at a time. */
  pending: Promise<boolean> | null;
  report: HostReport | null;
  heardMs: number;
}

/** The daemons that watch this registry. */
export class LocalSight implements SightSource {
  readonly counts = new QuestionCounts();
  readonly #options: LocalSightOptions;
  readonly #known = new Map<string, Known>();

  constructor(options: LocalSightOptions) {
    this.#options = options;
  }

  hosts(): Iterable<string> {
    return this.#options.watched().keys();
  }

  async reports(): Promise<HostSight[]> {
    const watched = this.#options.watched();
    for (const host of this.#known.keys()) if (!watched.has(host)) this.#known.delete(host);
    return Promise.all([...watched.values()].map((daemon) => this.#sightOf(daemon)));
  }

  ask(host: string, question: AnyQuestion, patienceMs: number): Promise<unknown> {
    const questions = this.#options.watched().get(host)?.questions;
    if (questions === undefined || questions === null) return Promise.reject(cannotBeAsked(host));
    return this.counts.of(question.kind, questions.ask(question, patienceMs));
  }

  tap(
    hosts: readonly string[],
    question: TapQuestion,
    onItem: (item: TapItem) => void,
    onEnd: (reason: string | null) => void,
  ): () => void {
    const watched = this.#options.watched();
    const open = new Set(hosts);
    const cancels: (() => void)[] = [];
    const left = (host: string, reason: string | null) => {
      if (!open.delete(host)) return;
      if (reason !== null) this.#options.log.info("a tap has lost a host", { host, reason });
      if (open.size === 0) onEnd(reason);
    };
    for (const host of hosts) {
      const questions = watched.get(host)?.questions ?? null;
      if (questions === null) {
        left(host, cannotBeAsked(host).message);
        continue;
      }
      const take = (answer: unknown) => this.#takeItems(host, answer, onItem);
      const end = (reason: Error | null) => {
        this.counts.count("tap", reason === null ? "answered" : "failed");
        left(host, reason?.message ?? null);
      };
      const cancel = questions.stream(question, take, end);
      cancels.push(() => {
        if (open.has(host)) this.counts.count("tap", "answered");
        cancel();
      });
    }
    return () => {
      for (const cancel of cancels) cancel();
      open.clear();
    };
  }

  async #sightOf({ status, questions }: WatchedDaemon): Promise<HostSight> {
    const { host, zone, version, revision, refusal } = status;
    const facts = { host, zone, version, revision, refusal };
    if (questions === null) return { ...facts, state: "old", report: null };
    const known = this.#knownOf(host, questions);
    known.pending ??= this.#askReport(host, known).finally(() => {
      known.pending = null;
    });
    const answered = await this.#within(known.pending, REPORT_MS);
    const isFresh = this.#options.clock.now() - known.heardMs <= STALE_MS;
    const report = isFresh ? known.report : null;
    return { ...facts, state: answered ? "reporting" : "silent", report };
  }

  #knownOf(host: string, questions: DaemonQuestions): Known {
    const before = this.#known.get(host);
    if (before?.questions === questions) return before;
    const { report = null, heardMs = 0 } = before ?? {};
    const known = { questions, pending: null, report, heardMs };
    this.#known.set(host, known);
    return known;
  }

  /** Resolves with whether there is a new report. */
  async #askReport(host: string, known: Known): Promise<boolean> {
    try {
      const asked = known.questions.ask({ kind: "report" }, PATIENCE_MS);
      const answer = await this.counts.of("report", asked);
      // A daemon speaks for its own host only.
      known.report = { ...hostReportSchema.parse(answer), host };
      known.heardMs = this.#options.clock.now();
      return true;
    } catch (error) {
      this.#options.log.debug("a daemon gives no report", { host, error });
      return false;
    }
  }

  #within(pending: Promise<boolean>, patienceMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const cancel = this.#options.timers.after(patienceMs, () => resolve(false));
      void pending.then(resolve).finally(cancel);
    });
  }

  #takeItems(host: string, answer: unknown, onItem: (item: TapItem) => void): void {
    const parsed = tapItemsSchema.safeParse(answer);
    if (!parsed.success) throw new Error("what a tap shows is not of its form");
    for (const item of parsed.data) {
      if (item.type === "skipped") onItem({ ...item, host });
      else onItem({ type: "event", event: { ...item.event, host } });
    }
  }
}

function cannotBeAsked(host: string): RegistryError {
  return new RegistryError(
    503,
    `no daemon of host ${host} watches that answers questions: it is not running, or of an older version`,
  );
}
