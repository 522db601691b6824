import * as z from "zod";
import { BALANCER_POLICIES } from "../core/model.ts";

const percent = z.number().min(0).max(100);
const named = { name: z.string() };

export const hashOnSchema = z.union([
  z.object({ kind: z.literal("header"), ...named }),
  z.object({
    kind: z.literal("cookie"),
    ...named,
    ttlSeconds: z.exactOptional(z.number().min(0)),
    path: z.exactOptional(z.string()),
  }),
  z.object({ kind: z.literal("query"), ...named }),
  z.object({ kind: z.literal("source") }),
]);

/** The shape of `BalancerConfig`, as it stands in the store, on the wire and in the snapshot file. */
export const balancerSchema = z.object({
  policy: z.enum(BALANCER_POLICIES),
  hashOn: z.exactOptional(hashOnSchema),
  slowStartMs: z.number().min(0),
  slowStartMinPercent: z.exactOptional(percent),
  slowStartAggression: z.exactOptional(z.number().positive()),
});
