import * as z from "zod";
import { hostField } from "./fields.ts";
import { storedCheckSchema, versionedChangeSchema } from "./record-schema.ts";
import { checkResult } from "./schema.ts";

/**
 * Messages of the watch (`/v1/mesh/watch`), one JSON text per WebSocket message. Described in
 * docs/registry-api.md. Each side reads with the schema of what the other sends, and closes on anything
 * else. Heartbeats are WebSocket pings in both directions. A close with 1001 asks the daemon to go to another registry.
 *
 * Within a version only fields are added that may be absent, which older ones overlook; a message that is new is sent to
 * those only who say that they take it.
 */
export const PROTOCOL_VERSION = 1;
/** Largest message of a daemon, and of the registry. An update is cut into parts far below it. */
export const MAX_CLIENT_MESSAGE_BYTES = 1_048_576;
export const MAX_SERVER_MESSAGE_BYTES = 16_777_216;

const revision = z.number().int().min(0);
const MAX_KINDS = 256;
/** See position.ts. */
export const positionSchema = z
  .record(z.string().max(317), z.string().max(64))
  .refine((position) => Object.keys(position).length <= MAX_KINDS, "too many kinds");

/** The first message of a daemon: who it is, and what it holds (revision 0: nothing). */
const hello = z.object({
  type: z.literal("hello"),
  protocol: z.literal(PROTOCOL_VERSION),
  host: hostField,
  zone: z.string().max(128),
  version: z.string().max(64),
  epoch: z.string().max(64),
  revision,
  /** What the state that it holds is made of; absent: it is no cluster's, or an older daemon's. */
  position: z.exactOptional(positionSchema),
  /** Types of messages that it takes beside those that every daemon of this version does. */
  takes: z.exactOptional(z.array(z.string().max(64)).max(64)),
  /** Where the host takes mutual TLS; absent: it has no identity. `address` "": the one that the registry sees. */
  mesh: z.exactOptional(
    z.object({
      address: z.union([z.literal(""), z.ipv4(), z.ipv6()]),
      port: z.number().int().min(1).max(65_535),
    }),
  ),
});

/** The answer to one update: taken, or refused with the reason. */
const ack = z.object({ type: z.literal("ack"), revision });
const nack = z.object({ type: z.literal("nack"), revision, reason: z.string().max(2_048) });
/** The daemon lost track: send everything. */
const resync = z.object({ type: z.literal("resync"), reason: z.string().max(2_048) });
const results = z.object({ type: z.literal("results"), results: z.array(checkResult).max(1_000) });

/** The authorities (SHA-256, hex) of all certificates that the host uses, whenever they are others than before. */
const certificates = z.object({
  type: z.literal("certificates"),
  issuers: z.array(z.string().max(128)).max(64),
});

/** Characters of one part of an answer: with what JSON makes of them in a text, below 512 KiB. */
export const ANSWER_PART_CHARS = 131_072;
const questionId = z.number().int().min(1);
/**
 * A part of the answer to a question; the parts come in order, from 0, and those of several answers may alternate. The
 * `body` of all together is one JSON text. `more`, in the last part: this was not all, another answer follows (a tap).
 */
const answer = z.object({
  type: z.literal("answer"),
  id: questionId,
  part: z.number().int().min(0),
  last: z.boolean(),
  more: z.exactOptional(z.literal(true)),
  body: z.exactOptional(z.string().max(ANSWER_PART_CHARS)),
  /** Why there is no (further) answer; then there are no further parts. */
  error: z.exactOptional(z.string().max(2_048)),
  /** Of the error, as HTTP has it: the question is wrong, or too many ask. Absent: it is the daemon's. */
  status: z.exactOptional(z.union([z.literal(400), z.literal(429)])),
});
export type AnswerPart = z.infer<typeof answer>;

const answers = [ack, nack, resync] as const;
export const clientMessage = z.discriminatedUnion("type", [
  hello,
  ...answers,
  results,
  certificates,
  answer,
]);
export type ClientMessage = z.infer<typeof clientMessage>;

const welcome = z.object({
  type: z.literal("welcome"),
  epoch: z.string(),
  revision,
  /** Heartbeats come at least this often. */
  pingMs: z.number().min(1),
  /** Types of messages that it takes beside those that every registry of this version does. */
  takes: z.exactOptional(z.array(z.string().max(64)).max(64)),
});

/**
 * A part of the step from one revision to another. The parts of a step come in order, and the step is
 * taken when the last is there. `full`: everything there is; what it does not name is gone.
 */
const update = z.object({
  type: z.literal("update"),
  from: revision,
  to: revision,
  full: z.boolean(),
  part: z.number().int().min(0),
  last: z.boolean(),
  changes: z.array(versionedChangeSchema),
  /** In the last part: what the state is made of once the step is taken. */
  position: z.exactOptional(positionSchema),
});
export type UpdatePart = z.infer<typeof update>;

/** All http and tcp checks of the daemon's host, whenever one of them changed. */
const checks = z.object({
  type: z.literal("checks"),
  checks: z.array(
    storedCheckSchema.pick({ id: true, host: true, endpoint: true, spec: true, status: true }),
  ),
});
export type CheckTask = z.infer<typeof checks>["checks"][number];

/** What the digest of the daemon's records must be at this revision. */
const digest = z.object({ type: z.literal("digest"), revision, digest: z.string() });

/** A question (sight/question.ts), to a daemon that takes "ask". It is answered beside everything else. */
const ask = z.object({
  type: z.literal("ask"),
  id: questionId,
  question: z.looseObject({ kind: z.string().max(64) }),
});
export type Ask = z.infer<typeof ask>;
/** Nobody waits for (further) answers. */
const askEnd = z.object({ type: z.literal("ask-end"), id: questionId });

const steps = [welcome, update, checks, digest] as const;
export const serverMessage = z.discriminatedUnion("type", [...steps, ask, askEnd]);
export type ServerMessage = z.infer<typeof serverMessage>;

/** Reads one message. Throws with the reason where it is not of this protocol. */
export function readMessage<T>(schema: z.ZodType<T>, data: Buffer, isBinary: boolean): T {
  if (isBinary) throw new Error("a binary message");
  const parsed: unknown = JSON.parse(data.toString("utf8"));
  const result = schema.safeParse(parsed);
  if (!result.success) throw new Error(z.prettifyError(result.error), { cause: result.error });
  return result.data;
}
