import type { Question } from "../../sight/question.ts";

type Kind = Question["kind"];
export type QuestionResult = "answered" | "failed";

const KINDS: readonly Kind[] = ["report", "config", "tap", "explain", "logging"];

/** What daemons were asked, by what came of it. */
export class QuestionCounts {
  readonly #counts = new Map<string, Record<QuestionResult, number>>(
    KINDS.map((kind) => [kind, { answered: 0, failed: 0 }]),
  );

  /** A kind that this registry does not know, as a newer one may pass it on, is not counted. */
  count(kind: string, result: QuestionResult): void {
    const counts = this.#counts.get(kind);
    if (counts !== undefined) counts[result]++;
  }

  /** Counts what becomes of it, and is it. */
  async of<T>(kind: string, answer: Promise<T>): Promise<T> {
    try {
      const answered = await answer;
      this.count(kind, "answered");
      return answered;
    } catch (error) {
      this.count(kind, "failed");
      throw error;
    }
  }

  counts(): ReadonlyMap<string, Readonly<Record<QuestionResult, number>>> {
    return this.#counts;
  }
}
