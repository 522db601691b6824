import * as z from "zod";
import { LogFormatError, parseLogFormat } from "../core/log-format.ts";

/** What is wrong with a format; null: nothing. */
function faultOf(format: string): string | null {
  try {
    if (format !== "") parseLogFormat(format, "text");
    return null;
  } catch (error) {
    if (error instanceof LogFormatError) return error.message;
    throw error;
  }
}

/** The settings of the access log, as a part of `telemetry`. */
export const accessLogFields = {
  accessLog: z
    .enum(["off", "json", "text"])
    .default("off")
    .describe(
      "One line per exchange on standard output. Workloads can have it otherwise, by annotation and while the daemon runs: docs/access-logs.md.",
    ),
  accessLogFormat: z
    .string()
    .default("")
    .superRefine((format, context) => {
      const message = faultOf(format);
      if (message !== null) context.addIssue({ code: "custom", message });
    })
    .describe(
      "Envoy's format string, or a JSON object of such, for lines of that kind; `istio` and `envoy` stand for their default formats. Empty: the daemon's own lines.",
    ),
  accessLogSample: z
    .number()
    .min(0)
    .max(1)
    .default(1)
    .describe("Share of the exchanges that are written; by trace, so that all hosts agree."),
  accessLogErrors: z
    .enum(["on", "off"])
    .default("off")
    .describe(
      "Write every failure, whatever the share is, and also where accessLog is off (as JSON then).",
    ),
};

/** A format of one kind says nothing of lines of the other. */
export function accessLogMismatch(telemetry: {
  readonly accessLog: "off" | "json" | "text";
  readonly accessLogFormat: string;
}): string | null {
  const { accessLog, accessLogFormat: format } = telemetry;
  if (accessLog === "off" || format === "" || faultOf(format) !== null) return null;
  const { kind } = parseLogFormat(format, accessLog);
  return kind === accessLog
    ? null
    : `is a format for ${kind === "json" ? "JSON" : "text"}, and accessLog is ${accessLog}`;
}
