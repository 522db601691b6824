import { StartError } from "../../daemon/start-error.ts";
import { CliError, EXIT } from "./cli-error.ts";

/** Causes may form a ring. */
const MAX_DEPTH = 5;

/** What did not start, as an error of the command line: one line, and what to do about it where that is known. */
export function startFailure(reason: unknown): CliError {
  if (!(reason instanceof StartError)) return new CliError(explain(reason), { cause: reason });
  const exitCode = reason.isUsage ? EXIT.usage : EXIT.failure;
  return new CliError(oneLine(reason.message), { exitCode, remedy: reason.remedy, cause: reason });
}

/** The message with those of its causes, each said once: many an error quotes its cause already. */
function explain(reason: unknown): string {
  let text = "";
  let at: unknown = reason;
  for (let depth = 0; depth < MAX_DEPTH && at !== undefined && at !== null; depth += 1) {
    const said = at instanceof Error ? at.message || at.name : String(at);
    if (!text.includes(said)) text += text === "" ? said : `: ${said}`;
    at = at instanceof Error ? at.cause : null;
  }
  return oneLine(text);
}

function oneLine(text: string): string {
  return text.trim().replace(/\s*\n\s*/g, "; ");
}
