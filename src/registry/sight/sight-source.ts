import type { HostReport } from "../../sight/host-report.ts";
import type { HostSummary } from "../../sight/mesh-report.ts";
import type { AnyQuestion, Question } from "../../sight/question.ts";
import type { TapItem } from "../../sight/tap-event.ts";

/** A host whose daemon watches, and what it said of itself. */
export interface HostSight extends Pick<HostSummary, "host" | "zone" | "version" | "refusal"> {
  readonly state: "reporting" | "silent" | "old";
  /** Null: it is not known. */
  readonly revision: number | null;
  /** Null: there is none, or only one that is too old. */
  readonly report: HostReport | null;
}

export type TapQuestion = Extract<Question, { kind: "tap" }>;

/** Daemons that can be asked: those that watch this registry, or another one. */
export interface SightSource {
  /** Names of their hosts. */
  hosts(): Iterable<string>;
  /** Waits for no daemon longer than a report may take. */
  reports(): Promise<readonly HostSight[]>;
  /** Rejects with a `RegistryError`. */
  ask(host: string, question: AnyQuestion, patienceMs: number): Promise<unknown>;
  /** `onEnd` once, when no daemon will send more; `reason`: why, where it is no end as agreed. The result ends it early. */
  tap(
    hosts: readonly string[],
    question: TapQuestion,
    onItem: (item: TapItem) => void,
    onEnd: (reason: string | null) => void,
  ): () => void;
}
