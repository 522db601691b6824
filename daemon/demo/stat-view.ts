import * as z from "zod";

const figure = z.number();
const figureOrNull = z.number().nullable();

const traffic = {
  requests: figure,
  rps: figure,
  success: figureOrNull,
  p50Ms: figureOrNull,
  p95Ms: figureOrNull,
  p99Ms: figureOrNull,
  inFlight: figure,
};

const endpoint = z.looseObject({
  id: z.string(),
  address: z.string(),
  port: figure,
  host: z.string(),
  health: z.enum(["passing", "warning", "critical"]),
  weight: figure,
  requests: figure,
  failures: figure,
  p50Ms: figureOrNull,
  p99Ms: figureOrNull,
  share: figureOrNull,
  ejected: z.boolean(),
  inFlight: figure,
  connections: figure,
  latencyEwmaMs: figureOrNull,
});

const service = z.looseObject({
  service: z.string(),
  ...traffic,
  retries: figure,
  ejections: figure,
  errors: z.record(z.string(), figure),
  endpoints: z.array(endpoint),
});

/** The reply of `GET /stats`, as far as tables show it; the admin API may be of a later version. */
export const statView = z.looseObject({
  host: z.string(),
  version: z.string(),
  uptimeMs: figure,
  revision: figure,
  windowMs: figure,
  services: z.array(service),
  idleServices: figure,
  passthrough: z.looseObject({ requests: figure, rps: figure }),
  unrouted: z.looseObject({ requests: figure, rps: figure }),
  workers: z.array(z.looseObject({ id: figure, alive: z.boolean(), restarts: figure })),
});

export type StatView = z.infer<typeof statView>;
export type ServiceView = StatView["services"][number];
export type EndpointView = ServiceView["endpoints"][number];

/** Asks the admin API at this base address for its statistics. */
export async function fetchStats(adminUrl: string, timeoutMs = 2_000): Promise<StatView> {
  // The shapes above are also used where nothing is asked; loading the client is dear.
  const { request } = await import("undici");
  const { statusCode, body } = await request(`${adminUrl}/stats`, {
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await body.text();
  if (statusCode !== 200) throw new Error(`${adminUrl}/stats answered ${statusCode}`);
  return statView.parse(JSON.parse(text));
}
