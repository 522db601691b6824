import * as z from "zod";

/** What the CLI reads of `/v1/mesh/services`. */
export const serviceList = z.array(
  z.looseObject({
    name: z.string(),
    namespace: z.string(),
    addresses: z.array(z.string()),
    protocol: z.string().optional(),
    balancer: z.looseObject({ policy: z.string() }),
    endpoints: z.object({ passing: z.number(), warning: z.number(), critical: z.number() }),
  }),
);

/** What the CLI reads of `/v1/mesh/endpoints`. */
export const endpointList = z.array(
  z.looseObject({
    id: z.string(),
    service: z.string(),
    namespace: z.string(),
    address: z.string(),
    port: z.number(),
    weight: z.number(),
    host: z.string(),
    health: z.enum(["passing", "warning", "critical"]),
    checks: z.array(z.looseObject({ id: z.string(), status: z.string(), output: z.string() })),
  }),
);

/** What the CLI reads of `/v1/mesh/workloads`. */
export const workloadList = z.array(
  z.looseObject({
    name: z.string(),
    namespace: z.string(),
    serviceAccount: z.string(),
    host: z.string(),
    addresses: z.array(z.string()),
    labels: z.record(z.string(), z.string()).optional(),
  }),
);

/** The ways to read `NAME.NAMESPACE`, where NAME may be a host of its own (`ext.example.com.shop`); none without a dot. */
export function splitServiceName(text: string): { name: string; namespace: string }[] {
  const cuts = new Set([text.indexOf("."), text.lastIndexOf(".")]);
  return [...cuts]
    .filter((cut) => cut > 0)
    .map((cut) => ({ name: text.slice(0, cut), namespace: text.slice(cut + 1) }));
}
