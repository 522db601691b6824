import { configDump } from "../config-dump.ts";
import type { AnswerHandlers } from "./answers.ts";
import { buildHostReport, type HostReportParts } from "./host-report.ts";

/** Who answers which question. What is asked for as a whole is made anew each time. */
export function answerHandlers(parts: () => HostReportParts): AnswerHandlers {
  return {
    report: () => buildHostReport(parts(), false),
    config: () => configDump(parts(), true),
  };
}
