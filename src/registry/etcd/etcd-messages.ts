import * as z from "zod";

/**
 * What of etcd's API is used, in the JSON of its gateway (etcd's `rpc.proto` and `kv.proto`): bytes are base64, 64-bit
 * numbers are texts, and a field with its zero value is left out. Revisions stay far below 2^53.
 */
const int64 = z
  .string()
  .regex(/^-?\d{1,19}$/)
  .default("0")
  .transform(Number);
const bytes = z
  .string()
  .default("")
  .transform((text) => Buffer.from(text, "base64").toString("utf8"));

const header = z.object({ revision: int64 });
const keyValue = z.object({
  key: bytes,
  value: bytes,
  mod_revision: int64,
  create_revision: int64,
  /** What it is bound to; a full 64-bit number, so it stays text. */
  lease: z.string().default("0"),
});
export type KeyValue = z.infer<typeof keyValue>;

export const rangeAnswer = z.object({
  header,
  kvs: z.array(keyValue).default([]),
  more: z.boolean().default(false),
});
export type RangeAnswer = z.infer<typeof rangeAnswer>;

const part = z.object({
  response_range: z.object({ kvs: z.array(keyValue).default([]) }).optional(),
});
export const txnAnswer = z.object({
  header,
  succeeded: z.boolean().default(false),
  responses: z.array(part).default([]),
});
export type TxnAnswer = z.infer<typeof txnAnswer>;

export const headerAnswer = z.object({ header });
/** The identifier of a lease is a full 64-bit number: it stays text. */
export const grantAnswer = z.object({ ID: z.string(), TTL: int64 });
export const keepAliveAnswer = z.object({ result: z.object({ TTL: int64 }) });
export const loginAnswer = z.object({ token: z.string().min(1) });

const event = z.object({ type: z.enum(["PUT", "DELETE"]).default("PUT"), kv: keyValue });
export type WatchEvent = z.infer<typeof event>;
export const watchMessage = z.union([
  z.object({
    result: z.object({
      header,
      created: z.boolean().default(false),
      canceled: z.boolean().default(false),
      cancel_reason: z.string().default(""),
      compact_revision: int64,
      events: z.array(event).default([]),
    }),
  }),
  z.object({ error: z.looseObject({ message: z.string().default("unknown") }) }),
]);

/** The form in which an error comes; 3.4 has the text in `error` and `message`, later versions in `message`. */
export const errorAnswer = z.object({ code: z.number(), message: z.string().default("") });

export type Operation = Readonly<Record<string, unknown>>;

export function encode(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}

/** The key after all that begin with `prefix`: an end of a range is not part of it. */
function endOf(prefix: string): string {
  const key = Buffer.from(prefix, "utf8");
  // UTF-8 has no byte 0xff, so that one more never overflows.
  key[key.length - 1] = (key.at(-1) ?? 0) + 1;
  return key.toString("base64");
}

export interface RangeOptions {
  readonly limit?: number;
  readonly keysOnly?: boolean;
  /** As of this revision of etcd's. */
  readonly revision?: number;
  readonly newestFirst?: boolean;
}

export function oneKey(key: string): Operation {
  return { key: encode(key) };
}

/** All keys that begin with `prefix`; from `first` on where that is given. */
export function manyKeys(prefix: string, options: RangeOptions = {}, first = prefix): Operation {
  const { limit, keysOnly, revision, newestFirst } = options;
  return {
    ...{ key: encode(first), range_end: endOf(prefix) },
    ...(limit === undefined ? {} : { limit: String(limit) }),
    ...(keysOnly === true ? { keys_only: true } : {}),
    ...(revision === undefined ? {} : { revision: String(revision) }),
    ...(newestFirst === true ? { sort_order: "DESCEND", sort_target: "KEY" } : {}),
  };
}

/** Keys from `first` on, without `end`. */
export function keysBetween(first: string, end: string): Operation {
  return { key: encode(first), range_end: encode(end) };
}

export function put(key: string, value: string, lease?: string): Operation {
  const bound = lease === undefined ? {} : { lease };
  return { request_put: { key: encode(key), value: encode(value), ...bound } };
}

export function range(keys: Operation): Operation {
  return { request_range: keys };
}

export function remove(keys: Operation): Operation {
  return { request_delete_range: keys };
}

export function hasValue(key: string, value: string): Operation {
  return { key: encode(key), target: "VALUE", result: "EQUAL", value: encode(value) };
}

export function isAbsent(key: string): Operation {
  return { key: encode(key), target: "CREATE", result: "EQUAL", create_revision: "0" };
}

export function isThere(key: string): Operation {
  return { key: encode(key), target: "CREATE", result: "GREATER", create_revision: "0" };
}

export function wasWrittenAt(key: string, revision: string): Operation {
  return { key: encode(key), target: "MOD", result: "EQUAL", mod_revision: revision };
}

export interface Txn {
  readonly compare: readonly Operation[];
  readonly success: readonly Operation[];
  readonly failure: readonly Operation[];
}
