import { json, type Reply } from "../control-server.ts";
import { type LogControl, LoggingError } from "./log-control.ts";

/** `PUT /logging`: a change as JSON, or only the level as `?level=`. */
export async function loggingRoute(
  control: Pick<LogControl, "set">,
  query: URLSearchParams,
  readBody: () => Promise<unknown>,
): Promise<Reply> {
  const level = query.get("level");
  const wanted = level === null ? await readBody() : { level };
  try {
    return json(200, control.set(wanted));
  } catch (error) {
    if (error instanceof LoggingError) return json(400, { error: error.message });
    throw error;
  }
}
