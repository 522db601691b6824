import * as z from "zod";
import { GRPC, httpStatusOf } from "../../core/grpc.ts";
import type { FaultRule } from "../../core/traffic.ts";
import { differently, honoured, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { durationIn } from "../value-fields.ts";

const HIGHEST_GRPC_STATUS = 16;

/** A name (`UNAVAILABLE`), which is all that Istio takes, or its number. */
const grpcStatusField = z
  .union([z.string().max(64), z.number()], { error: "must be a status of gRPC" })
  .transform((given, context) => {
    const isNumber = typeof given === "number" || /^\d{1,2}$/.test(given);
    if (!isNumber && Object.hasOwn(GRPC, given)) return GRPC[given as keyof typeof GRPC];
    const number = isNumber ? Number(given) : -1;
    if (Number.isInteger(number) && number >= 0 && number <= HIGHEST_GRPC_STATUS) return number;
    const message = "must be a status of gRPC by its name in capitals, such as UNAVAILABLE";
    context.addIssue({ code: "custom", message });
    return z.NEVER;
  });

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
      httpStatus: honoured(z.number().int().min(200).max(599)).optional(),
      percentage: percentField.optional(),
      grpcStatus: differently(
        grpcStatusField,
        "numbers are taken as well; what is no call of gRPC gets the status of HTTP that it stands for, in Envoy 200",
      ).optional(),
      http2Error: refused("Istio implements no errors of HTTP/2 either: give httpStatus"),
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
    const { httpStatus, grpcStatus } = abort;
    if ((httpStatus === undefined) === (grpcStatus === undefined)) {
      work.refuse([...path, "abort"], "give one of httpStatus and grpcStatus");
    }
    const percent = shareOf("abort", abort.percentage?.value);
    rule.abort =
      grpcStatus === undefined
        ? { status: httpStatus!, percent }
        : { status: httpStatusOf(grpcStatus), grpcStatus, percent };
  }
  return rule;
}
