import * as z from "zod";
import { SECURITIES } from "../../core/security.ts";
import type { HostReport } from "../../sight/host-report.ts";
import {
  captureSchema,
  certificateSchema,
  failure,
  workerSchema,
  workloadSchema,
} from "./report-parts.ts";

const text = z.string();
const figure = z.number();

const counts = {
  requests: figure,
  failures: figure,
  requestBytes: figure,
  responseBytes: figure,
  recent: figure,
  recentFailures: figure,
  recentBytes: figure,
  fine: z.array(figure),
};

const flow = z.looseObject({
  ...counts,
  source: text,
  destination: text,
  entry: text,
  protocol: text,
  security: z.enum(SECURITIES),
  reporter: z.enum(["source", "destination", "both"]),
  inFlight: figure,
  errors: z.record(text, figure),
});

const endpoint = z.looseObject({
  ...counts,
  service: text,
  id: text,
  address: text,
  port: figure,
  host: text,
  health: text,
  weight: figure,
  ejected: z.boolean(),
  inFlight: figure,
  connections: figure,
  latencyEwmaMs: figure.nullable(),
});

/** What commands take for a HostReport. */
export const hostReportSchema: z.ZodType<HostReport> = z.looseObject({
  host: text,
  zone: text,
  version: text,
  atMs: figure,
  uptimeMs: figure,
  revision: figure,
  windowMs: figure,
  flows: z.array(flow),
  routes: z.array(z.looseObject({ ...counts, source: text, destination: text, route: text })),
  endpoints: z.array(endpoint),
  workloads: z.array(workloadSchema),
  workers: z.array(workerSchema),
  capture: captureSchema,
  certificates: z.array(certificateSchema),
  recentErrors: z.array(z.looseObject(failure)),
});
