import { configDump } from "../config-dump.ts";
import type { ControlParts } from "../control-servers.ts";
import { loggingAnswers } from "../logging/log-control.ts";
import type { Observing } from "../make-observing.ts";
import { tapAnswers } from "../tap/tap-answers.ts";
import type { AnswerHandlers } from "./answers.ts";
import { buildHostReport } from "./host-report.ts";

/** Who answers which question. What is asked for as a whole is made anew each time. */
export function answerHandlers(
  parts: () => ControlParts,
  { logging, taps, explains }: Observing,
): AnswerHandlers {
  return {
    report: () => buildHostReport(parts(), false),
    config: () => configDump(parts(), true),
    tap: tapAnswers(taps),
    explain: ({ request }) => explains.answer(parts(), request),
    logging: loggingAnswers(logging),
  };
}
