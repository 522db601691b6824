import * as z from "zod";
import type { MeshReport } from "../../sight/mesh-report.ts";

const text = z.string();
const figure = z.number();
const figureOrNull = z.number().nullable();

const figures = {
  requests: figure,
  failures: figure,
  requestBytes: figure,
  responseBytes: figure,
  rps: figure,
  bytesPerSecond: figure,
  success: figureOrNull,
  p50Ms: figureOrNull,
  p95Ms: figureOrNull,
  p99Ms: figureOrNull,
};

const endpoint = z.looseObject({
  ...figures,
  id: text,
  address: text,
  port: figure,
  host: text,
  health: text,
  weight: figure,
  inFlight: figure,
  connections: figure,
  latencyEwmaMs: figureOrNull,
  ejectedBy: z.array(text),
  share: figureOrNull,
});

const service = z.looseObject({
  ...figures,
  service: text,
  protocols: z.array(text),
  inFlight: figure,
  errors: z.record(text, figure),
  endpoints: z.array(endpoint),
  retries: z.exactOptional(figure),
  retriesPerSecond: z.exactOptional(figure),
});

const edge = z.looseObject({
  ...figures,
  source: text,
  destination: text,
  protocol: text,
  // A later version may know further ways; they are shown by their name.
  securities: z.record(text, figure),
  secured: z.boolean(),
  inFlight: figure,
});

const worker = z.looseObject({ id: figure, alive: z.boolean(), restarts: figure });

const workload = z.looseObject({
  workload: text,
  addresses: z.array(text),
  identity: text.nullable(),
  connections: figure,
  connectionLimit: figure,
  inFlight: figure,
  inFlightLimit: figure,
  bufferedBytes: figure,
  recent: figure,
  refused: figure,
});

const certificate = z.looseObject({
  identity: text,
  state: z.enum(["valid", "overdue", "expired", "missing"]),
  notAfterMs: figureOrNull,
});

const capture = z.looseObject({ mode: text, active: z.boolean() });

const failure = {
  atMs: figure,
  source: text,
  destination: text,
  endpoint: text.nullable(),
  method: text,
  path: text,
  status: figure,
  error: text.nullable(),
  traceId: text,
};

const host = z.looseObject({
  host: text,
  zone: text,
  version: text,
  state: z.enum(["reporting", "silent", "old", "gone"]),
  uptimeMs: figureOrNull,
  revision: figureOrNull,
  refusal: z.looseObject({ revision: figure, reason: text }).nullable(),
  capture: capture.nullable(),
  workers: z.array(worker),
  workloads: z.array(workload),
  certificates: z.array(certificate),
  figures: z.looseObject(figures),
});

/** What commands take for a MeshReport: the registry may be of a later version, which says more. */
export const meshReportSchema: z.ZodType<MeshReport> = z.looseObject({
  atMs: figure,
  windowMs: figure,
  revision: figure,
  hosts: z.array(host),
  services: z.array(service),
  sources: z.array(z.looseObject({ ...figures, source: text, inFlight: figure })),
  edges: z.array(edge),
  routes: z.array(z.looseObject({ ...figures, source: text, destination: text, route: text })),
  recentErrors: z.array(z.looseObject({ ...failure, host: text })),
});
