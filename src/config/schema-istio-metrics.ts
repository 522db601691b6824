import * as z from "zod";

/** Of `telemetry`. */
export const istioMetrics = {
  istioMetrics: z
    .enum(["on", "off"])
    .default("off")
    .describe(
      "Also expose Istio's standard metrics (`istio_requests_total` and so on), for Kiali and dashboards that are made for them.",
    ),
  istioCluster: z
    .string()
    .min(1)
    .max(253)
    .default("Kubernetes")
    .describe("Their `source_cluster` and `destination_cluster`, by default Istio's."),
};
