import * as z from "zod";
import { accessLogFields, accessLogMismatch } from "./schema-access-log.ts";
import { istioMetrics } from "./schema-istio-metrics.ts";
import { tracing } from "./schema-tracing.ts";

/** Logs and traces. */
export const telemetry = z
  .strictObject({
    ...accessLogFields,
    newTraces: z
      .enum(["sampled", "unsampled"])
      .default("unsampled")
      .describe(
        "Flag of traces that begin at the proxy because the caller brought none: sampled: of all of them; unsampled: of those that tracing.sampling picks, if spans are recorded here. Programs that follow their caller's decision record these traces.",
      ),
    logLevel: z
      .enum(["debug", "info", "warn", "error"])
      .default("info")
      .describe("Log of the daemon itself, on standard error."),
    logFormat: z.enum(["json", "text"]).default("text").describe("Form of that log."),
    ...istioMetrics,
    tracing,
  })
  .superRefine((telemetry, context) => {
    const message = accessLogMismatch(telemetry);
    if (message !== null) {
      context.addIssue({ code: "custom", path: ["accessLogFormat"], message });
    }
  })
  .prefault({})
  .describe("Logs and traces. Metrics are always on.");
