import * as z from "zod";
import { RETRY_CONDITIONS } from "../core/traffic.ts";

/** The shapes of the routes of `src/core/traffic.ts`, as they stand in the store, on the wire and in the snapshot file. */
const text = z.string();
const strings = z.array(text);
const labels = z.record(text, text);
const ms = z.number().min(0);
const port = z.number().int().min(1).max(65_535);
const status = z.number().int().min(100).max(999);
const percent = z.number().min(0).max(100);
const weight = z.number().min(0);

const textMatch = z.union([
  z.object({
    kind: z.enum(["exact", "prefix", "suffix"]),
    value: text,
    ignoreCase: z.exactOptional(z.literal(true)),
  }),
  z.object({ kind: z.enum(["segments", "regex"]), value: text }),
  z.object({ kind: z.literal("present") }),
]);

const fieldMatch = z.object({
  name: text,
  match: textMatch,
  invert: z.exactOptional(z.literal(true)),
});

const routeMatch = z.object({
  path: z.exactOptional(textMatch),
  method: z.exactOptional(textMatch),
  scheme: z.exactOptional(textMatch),
  authority: z.exactOptional(textMatch),
  headers: z.exactOptional(z.array(fieldMatch)),
  query: z.exactOptional(z.array(fieldMatch)),
  port: z.exactOptional(port),
  sourceLabels: z.exactOptional(labels),
  sourceNamespace: z.exactOptional(text),
  destinationSubnets: z.exactOptional(strings),
});

const fields = z.array(z.tuple([text, text]));
const headerEdits = z.object({
  set: z.exactOptional(fields),
  add: z.exactOptional(fields),
  remove: z.exactOptional(strings),
});

const pathRewrite = z.union([
  z.object({ kind: z.enum(["full", "prefix"]), value: text }),
  z.object({ kind: z.literal("regex"), pattern: text, substitution: text }),
]);
const rewrite = z.object({
  path: z.exactOptional(pathRewrite),
  authority: z.exactOptional(text),
});

const redirect = z.object({
  scheme: z.exactOptional(z.enum(["http", "https"])),
  host: z.exactOptional(text),
  port: z.exactOptional(z.union([port, z.enum(["default", "request"])])),
  path: z.exactOptional(pathRewrite),
  status: z.literal([301, 302, 303, 307, 308]),
});

const target = z.object({
  service: text.nullable(),
  subset: z.exactOptional(text),
  port: z.exactOptional(port),
  requestHeaders: z.exactOptional(headerEdits),
  responseHeaders: z.exactOptional(headerEdits),
  rewrite: z.exactOptional(rewrite),
  missingStatus: z.exactOptional(status),
});
const backend = target.extend({ weight, failover: z.exactOptional(z.array(target)) });

export const retrySchema = z.object({
  attempts: z.number().int().min(0),
  perTryMs: z.exactOptional(ms),
  on: z.array(z.enum(RETRY_CONDITIONS)),
  statuses: z.array(z.tuple([status, status])),
  backoff: z.object({ baseMs: ms, maxMs: ms }),
  unsafe: z.boolean(),
  avoidTried: z.boolean(),
  bodyBytes: z.exactOptional(z.number().int().min(0)),
});

export const timeoutsSchema = z.object({
  requestMs: z.exactOptional(ms),
  idleMs: z.exactOptional(ms),
  perTryMs: z.exactOptional(ms),
});

const faultSchema = z.object({
  delay: z.exactOptional(z.object({ ms, percent })),
  abort: z.exactOptional(
    z.object({ status, percent, grpcStatus: z.exactOptional(z.number().int().min(0).max(16)) }),
  ),
});

const corsSchema = z.object({
  allowOrigins: z.array(textMatch),
  allowMethods: strings,
  allowHeaders: strings,
  exposeHeaders: strings,
  maxAgeSeconds: z.number().min(-1),
  allowCredentials: z.boolean(),
  forwardUnmatched: z.boolean(),
});

const rateKey = z.union([
  z.object({ kind: z.literal("source") }),
  z.object({ kind: z.literal("header"), name: text }),
]);
export const rateLimitsSchema = z.array(
  z.object({
    name: text,
    requests: z.number().min(0),
    periodMs: z.number().min(1),
    burst: z.number().min(1),
    per: z.array(rateKey),
    matches: z.exactOptional(z.array(routeMatch)),
    overrides: z.exactOptional(
      z.array(z.object({ sources: strings, requests: z.number().min(0) })),
    ),
  }),
);

const action = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("forward"), backends: z.array(backend) }),
  z.object({ kind: z.literal("redirect"), redirect }),
  z.object({ kind: z.literal("respond"), status, body: text }),
]);

const rule = z.object({
  name: text,
  matches: z.array(routeMatch),
  action,
  rewrite: z.exactOptional(rewrite),
  requestHeaders: z.exactOptional(headerEdits),
  responseHeaders: z.exactOptional(headerEdits),
  cors: z.exactOptional(corsSchema),
  timeouts: z.exactOptional(timeoutsSchema),
  retry: z.exactOptional(retrySchema),
  fault: z.exactOptional(faultSchema),
  mirrors: z.exactOptional(z.array(z.object({ backend: target, percent }))),
  rateLimits: z.exactOptional(rateLimitsSchema),
});

export const routeSchema = z.object({
  source: text,
  createdMs: z.number(),
  protocol: z.enum(["http", "tcp"]),
  role: z.enum(["route", "profile"]),
  services: strings,
  port: z.exactOptional(port),
  clients: strings.nullable(),
  rank: z.number(),
  order: z.enum(["listed", "specific"]),
  otherwise: z.enum(["refuse", "service"]),
  rules: z.array(rule),
});
