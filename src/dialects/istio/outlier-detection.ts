import * as z from "zod";
import type { OutlierPolicy } from "../../core/traffic.ts";
import { differently, honoured, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn } from "../value-fields.ts";

/** Envoy's `max_ejection_time`, which Istio has no field for. */
const LONGEST_EJECTION_MS = 300_000;

const count = z.number().int().min(0).max(4_294_967_295);
const percent = z.number().int().min(0).max(100);

export const outlierDetectionField = z.strictObject({
  consecutive5xxErrors: honoured(count, "default: 5; 0: off").default(5),
  consecutiveGatewayErrors: honoured(count, "default: off").optional(),
  consecutiveErrors: differently(
    count,
    "deprecated, and dropped by Istio; here it is `consecutiveGatewayErrors`, as it once was, with a warning",
  ).optional(),
  splitExternalLocalOriginErrors: honoured(z.boolean(), "default: false").default(false),
  consecutiveLocalOriginFailures: honoured(count, "default: 5").default(5),
  interval: honoured(durationIn(1), "default: 10s").default(10_000),
  baseEjectionTime: honoured(
    durationIn(1),
    "default: 30s; times the ejections in a row, at most 300s or itself",
  ).default(30_000),
  maxEjectionPercent: differently(
    percent,
    "default: 10; one endpoint may always be ejected while another is left",
  ).default(10),
  minHealthPercent: honoured(percent, "default: 0").default(0),
  outlierDetectionHttpErrorCodes: refused(
    "which statuses are errors is fixed: 5xx, and 502, 503, 504 for consecutiveGatewayErrors",
  ),
});

export function toOutlierPolicy(
  outlier: z.infer<typeof outlierDetectionField>,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): OutlierPolicy {
  const { consecutiveErrors, consecutiveGatewayErrors, baseEjectionTime } = outlier;
  if (consecutiveErrors !== undefined) {
    const message =
      consecutiveGatewayErrors === undefined
        ? "deprecated: taken as consecutiveGatewayErrors (502, 503, 504); write that, or consecutive5xxErrors"
        : "no effect beside consecutiveGatewayErrors";
    work.warn([...path, "consecutiveErrors"], message);
  }
  return {
    consecutive5xx: outlier.consecutive5xxErrors,
    consecutiveGateway: consecutiveGatewayErrors ?? consecutiveErrors ?? 0,
    // 0 leaves Envoy's default as it is (Istio sets it only above 0).
    consecutiveLocal: outlier.consecutiveLocalOriginFailures || 5,
    splitLocalErrors: outlier.splitExternalLocalOriginErrors,
    intervalMs: outlier.interval,
    baseEjectionMs: baseEjectionTime,
    maxEjectionMs: Math.max(LONGEST_EJECTION_MS, baseEjectionTime),
    // The same: 0 is the default for Istio.
    maxEjectionPercent: outlier.maxEjectionPercent || 10,
    minHealthPercent: outlier.minHealthPercent,
  };
}
