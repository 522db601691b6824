import * as z from "zod";
import type { FaultRule } from "../../core/traffic.ts";
import { honoured, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn } from "../value-fields.ts";

const noGrpc = "faults are answers of HTTP: give httpStatus";

export const percentField = z.strictObject({
  value: honoured(z.number().min(0).max(100), "in percent; fractions count; default 0").default(0),
});

export const faultField = z.strictObject({
  delay: z
    .strictObject({
      fixedDelay: honoured(durationIn(1)),
      percentage: percentField.optional(),
      percent: honoured(
        z.number().int().min(0).max(100),
        "deprecated; `percentage` counts where both are given",
      ).optional(),
      exponentialDelay: refused("Istio implements no exponential delay either: give fixedDelay"),
    })
    .optional(),
  abort: z
    .strictObject({
      httpStatus: honoured(z.number().int().min(200).max(599)),
      percentage: percentField.optional(),
      grpcStatus: refused(noGrpc),
      http2Error: refused(noGrpc),
    })
    .optional(),
});

/** A fault without a percentage never happens, in Istio too. */
export function toFaultRule(
  fault: z.infer<typeof faultField>,
  work: Work<unknown>,
  path: readonly PropertyKey[],
): FaultRule {
  const { delay, abort } = fault;
  const shareOf = (part: "delay" | "abort", share: number | undefined) => {
    if (share === undefined) work.warn([...path, part], "without percentage it never happens");
    return share ?? 0;
  };
  const rule: { -readonly [K in keyof FaultRule]: FaultRule[K] } = {};
  if (delay !== undefined) {
    const percent = shareOf("delay", delay.percentage?.value ?? delay.percent);
    rule.delay = { ms: delay.fixedDelay, percent };
  }
  if (abort !== undefined) {
    rule.abort = { status: abort.httpStatus, percent: shareOf("abort", abort.percentage?.value) };
  }
  return rule;
}
