import { configDump } from "../config-dump.ts";
import { type ExplainParts, explainAnswer } from "../explain/explain-answer.ts";
import { loggingAnswers } from "../logging/log-control.ts";
import type { Observing } from "../make-observing.ts";
import { tapAnswers } from "../tap/tap-answers.ts";
import type { AnswerHandlers } from "./answers.ts";
import { buildHostReport, type HostReportParts } from "./host-report.ts";

/** Who answers which question. What is asked for as a whole is made anew each time. */
export function answerHandlers(
  parts: () => HostReportParts & ExplainParts,
  { logging, taps }: Observing,
): AnswerHandlers {
  return {
    report: () => buildHostReport(parts(), false),
    config: () => configDump(parts(), true),
    explain: ({ request }) => explainAnswer(parts(), request),
    tap: tapAnswers(taps),
    logging: loggingAnswers(logging),
  };
}
