import type { ExplainStage, ExplainStep } from "../../core/explanation.ts";

/** Lines of one step at the most: a table may have thousands of rules. */
const MAX_DETAILS = 200;

/** The decisions of one imagined request, in order. */
export class StepList {
  readonly steps: ExplainStep[] = [];

  add(
    stage: ExplainStage,
    decision: string,
    because: string,
    more: { readonly resource?: string | null; readonly details?: readonly string[] } = {},
  ): void {
    const { resource = null, details = [] } = more;
    const left = details.length - MAX_DETAILS;
    const shown =
      left > 0
        ? [...details.slice(0, MAX_DETAILS - 1), `and ${left + 1} more`, ...details.slice(-1)]
        : details;
    this.steps.push({ stage, decision, because, resource, details: shown });
  }
}
