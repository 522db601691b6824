import * as z from "zod";

/** What reports of one host and of the whole mesh have in common. */
const text = z.string();
const figure = z.number();
const figureOrNull = z.number().nullable();

export const workerSchema = z.looseObject({ id: figure, alive: z.boolean(), restarts: figure });

export const workloadSchema = z.looseObject({
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

export const certificateSchema = z.looseObject({
  identity: text,
  state: z.enum(["valid", "overdue", "expired", "missing"]),
  notAfterMs: figureOrNull,
});

export const captureSchema = z.looseObject({ mode: text, active: z.boolean() });

/** Fields of one that failed. */
export const failure = {
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
