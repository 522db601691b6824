import { z } from "zod";
import { MAX_MESSAGES } from "../h2/request.ts";
import { BenchError } from "../lib/bench-error.ts";
import type { LoadJob, Target } from "../model.ts";

const MAX_CONNECTIONS = 60_000;
/** The fewest that a server should take at once (RFC 9113 section 6.5.2), and what HAProxy takes. */
export const MAX_STREAMS = 100;
const MAX_BODY_BYTES = 64 * 1_024 * 1_024;

const TARGET = z.strictObject({
  host: z.string().min(1),
  port: z.int().min(1).max(65_535),
  authority: z.string().regex(/^[\w.:-]+$/),
  connect: z.boolean(),
  from: z.ipv4().optional(),
});

const JOB = z.strictObject({
  protocol: z.enum(["http1", "http2", "grpc", "tcp"]),
  targets: z.array(TARGET).min(1),
  connections: z.int().min(1).max(MAX_CONNECTIONS),
  streams: z.int().min(1).max(MAX_STREAMS).optional(),
  call: z.enum(["unary", "server", "bidi"]).optional(),
  messages: z.int().min(1).max(MAX_MESSAGES).optional(),
  bodyBytes: z.int().min(0).max(MAX_BODY_BYTES),
  rate: z.number().positive().max(1e6).nullable(),
  seconds: z.number().positive().max(86_400),
  warmUpSeconds: z.number().min(0).max(86_400),
  vary: z.boolean(),
  firstRequests: z.int().min(1).optional(),
});

/** Reads a job from JSON. Throws a BenchError that says what is wrong with it. */
export function parseLoadJob(text: string): LoadJob {
  const parsed = JOB.safeParse(JSON.parse(text));
  if (!parsed.success) throw new BenchError(`the load's job: ${z.prettifyError(parsed.error)}`);
  const { firstRequests, streams, call, messages, targets, ...rest } = parsed.data;
  const job: LoadJob = {
    ...rest,
    targets: targets.map(({ from, ...target }) =>
      from === undefined ? target : { ...target, from },
    ),
    ...(streams === undefined ? {} : { streams }),
    ...(call === undefined ? {} : { call }),
    ...(messages === undefined ? {} : { messages }),
    ...(firstRequests === undefined ? {} : { firstRequests }),
  };
  const needed = isOneAddress(job) ? 1 : job.targets.length;
  if (job.connections < needed) {
    throw new BenchError(
      `${needed} addresses need at least as many connections, and there are ${job.connections}`,
    );
  }
  if (job.protocol === "tcp" && job.bodyBytes === 0) {
    throw new BenchError("an answer of 0 bytes cannot be seen over TCP: ask for at least 1");
  }
  return job;
}

/** May every connection carry requests for every service? With TCP the service is chosen when it is opened. */
export function isOneAddress({
  protocol,
  targets,
}: Pick<LoadJob, "protocol" | "targets">): boolean {
  const [first] = targets;
  const same = ({ host, port, from }: Target) =>
    host === first?.host && port === first?.port && from === first?.from;
  return targets.length === 1 || (protocol !== "tcp" && targets.every(same));
}
