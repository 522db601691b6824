import * as z from "zod";
import { BALANCER_POLICIES } from "../core/model.ts";
import { ms } from "./setting-fields.ts";

/** How endpoints are chosen, and taken out of service when they fail. */
export const balance = z
  .strictObject({
    policy: z
      .enum(BALANCER_POLICIES)
      .default("peak-ewma")
      .describe("For services that choose none."),
    decayMs: ms(10_000, "Time constant of the latency average. Linkerd's and Envoy's default."),
    defaultRttMs: ms(
      30,
      "Latency assumed of an endpoint that was never measured. Linkerd's default.",
    ),
    failurePenaltyMs: ms(
      5_000,
      "A failure counts as a response that took at least this long. Linkerd's load-biaser penalty.",
    ),
    slowStartMs: ms(10_000, "Ramp of a new endpoint from 10 % to its full share; 0: off."),
    consecutiveFailures: z
      .number()
      .int()
      .min(0)
      .default(5)
      .describe("Failures in a row that eject an endpoint; 0: never. Envoy's default."),
    baseEjectionMs: ms(
      30_000,
      "Ejection time, times the number of ejections in a row. Envoy's default.",
    ),
    maxEjectionMs: ms(300_000, "Longest ejection. Envoy's default."),
    maxEjectionPercent: z
      .number()
      .int()
      .min(0)
      .max(100)
      .default(50)
      .describe(
        "Share of a service's endpoints that may be ejected; one always may while two or more remain.",
      ),
    ejectionJitterPercent: z
      .number()
      .int()
      .min(0)
      .max(100)
      .default(10)
      .describe(
        "Random time added to an ejection, at most this part of it, so that hosts which ejected an endpoint together do not return to it together.",
      ),
    minHealthPercent: z
      .number()
      .int()
      .min(0)
      .max(100)
      .default(0)
      .describe(
        "Panic threshold: with a smaller share of a service's endpoints healthy, ejections do not count. 0: only when all are ejected. For services without a policy of their own; Istio's default is 0, Envoy's 50.",
      ),
    locality: z
      .enum(["off", "prefer"])
      .default("off")
      .describe(
        "prefer: endpoints of the same host first, then of the zone, then of the region, with overflow where these are unhealthy or busy. For services without a rule of their own.",
      ),
  })
  .prefault({})
  .describe("Load balancing and passive ejection.");
