import * as z from "zod";
import { count, ms } from "./setting-fields.ts";

/** Credentials in a URL would be in dumps and logs. */
const collectorUrl = z
  .string()
  .refine((text) => {
    const url = text === "" ? null : URL.parse(text);
    if (url === null) return text === "";
    return /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  }, "an http or https URL without credentials, which headersFile is for")
  .default("");

/** Spans of requests, and where they go. */
export const tracing = z
  .strictObject({
    endpoint: collectorUrl.describe(
      "Where spans are sent by OTLP over HTTP in JSON, such as http://collector:4318/v1/traces. Empty: none are made.",
    ),
    sampling: z
      .number()
      .min(0)
      .max(1)
      .default(0.01)
      .describe(
        "Share of the traces that begin at the proxy which is recorded. In others the caller's decision counts. Istio's default.",
      ),
    errors: z
      .enum(["on", "off"])
      .default("off")
      .describe(
        "Record requests that failed (5xx, or an error code) even where nobody sampled them.",
      ),
    propagation: z
      .array(z.enum(["w3c", "b3", "b3multi"]))
      .min(1)
      .default(["w3c"])
      .describe(
        "Forms in which the context of a trace is passed on: traceparent, b3, X-B3-... All are read, and the form in which a context came is always passed on too.",
      ),
    compression: z.enum(["gzip", "none"]).default("gzip").describe("Of what is sent."),
    batchSpans: count(512, "Spans in one export at most. OpenTelemetry's default."),
    intervalMs: ms(1_000, "Longest wait until a smaller batch goes."),
    queueSpans: count(
      8_192,
      "Spans that may wait for a collector which is slow or gone; what comes beyond it is dropped and counted.",
    ),
    timeoutMs: count(10_000, "Patience with one export. OpenTelemetry's default."),
    caFile: z
      .string()
      .default("")
      .describe("PEM of the authorities that a collector on https is trusted by. Default: Node's."),
    headersFile: z
      .string()
      .default("")
      .describe(
        "File with further headers, one `Name: value` a line, such as a token. It is read for each export, so it may change.",
      ),
  })
  .prefault({})
  .describe("Distributed tracing; see docs/tracing.md.");
