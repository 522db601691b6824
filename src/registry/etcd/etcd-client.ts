import { Agent, type Dispatcher, request } from "undici";
import type * as z from "zod";
import {
  errorAnswer,
  loginAnswer,
  type Operation,
  type RangeAnswer,
  rangeAnswer,
  type Txn,
  type TxnAnswer,
  txnAnswer,
  type WatchEvent,
  watchMessage,
} from "./etcd-messages.ts";
import type { EtcdCredentials } from "./etcd-options.ts";

/** One try at one member. */
const ATTEMPT_MS = 2_000;
const CONNECT_MS = 1_000;
/** Between two rounds over all members. */
const PAUSE_MS = 100;
/** A page of records that are all of the largest size. */
const MAX_ANSWER_BYTES = 402_653_184;
const MAX_ERROR_BYTES = 65_536;
const REASON_LENGTH = 200;
/** Of one message of a watch: many commits at once, each of the largest size. */
const MAX_MESSAGE_BYTES = 268_435_456;

/** Codes of gRPC after which it is certain that nothing was done, and that another try would end in the same way. */
const FINAL = new Set([3, 5, 6, 7, 8, 9, 11, 12, 16]);
const UNAUTHENTICATED = 16;
const INVALID_ARGUMENT = 3;

/** etcd has refused a call, which therefore has had no effect. `code`: of gRPC. */
export class EtcdRefusal extends Error {
  readonly code: number;

  constructor(path: string, code: number, message: string) {
    super(`etcd refuses ${path}: ${message}`);
    this.name = "EtcdRefusal";
    this.code = code;
  }
}

/** No member has given an answer in time: whether a write had an effect is not known. */
export class EtcdUnreachable extends Error {
  constructor(path: string, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`no member of etcd answers ${path}: ${reason}`, { cause });
    this.name = "EtcdUnreachable";
  }
}

export interface EtcdClientOptions {
  readonly endpoints: readonly string[];
  readonly credentials: EtcdCredentials;
  /** From a call to its end, all tries included. */
  readonly callMs?: number;
}

/**
 * A client of etcd's own gateway from JSON to gRPC (etcd 3.4 and newer, `/v3/...`). A call that gets no answer is made
 * again, at the next member, until its time is over: so what is sent must be harmless when it is done twice, which
 * transactions are that compare what they change.
 *
 * Of a client the registry needs eight calls and one stream, so this is smaller than gRPC with protobuf; the package `etcd3`
 * would bring both, sees little upkeep, and keeps to itself what became of a call that was cut off.
 */
export class EtcdClient {
  readonly #endpoints: readonly string[];
  readonly #credentials: EtcdCredentials;
  readonly #callMs: number;
  readonly #agent: Agent;
  readonly #closed = new AbortController();
  /** Index of the member that is asked first. */
  #member = 0;
  #token: Promise<string> | null = null;

  constructor({ endpoints, credentials, callMs = 5_000 }: EtcdClientOptions) {
    this.#endpoints = endpoints.map((url) => url.replace(/\/+$/, ""));
    this.#credentials = credentials;
    this.#callMs = callMs;
    const { ca, cert, key } = credentials;
    this.#agent = new Agent({
      connect: {
        timeout: CONNECT_MS,
        ...(ca === undefined ? {} : { ca }),
        ...(cert === undefined ? {} : { cert }),
        ...(key === undefined ? {} : { key }),
      },
      // A watch is silent for as long as nothing happens.
      bodyTimeout: 0,
      headersTimeout: 0,
      maxResponseSize: -1,
    });
  }

  range(keys: Operation): Promise<RangeAnswer> {
    return this.call("/v3/kv/range", keys, rangeAnswer);
  }

  txn(txn: Txn): Promise<TxnAnswer> {
    return this.call("/v3/kv/txn", txn, txnAnswer);
  }

  /**
   * Rejects with `EtcdRefusal` where it is certain that nothing was done, else, when the time is over, with
   * `EtcdUnreachable`.
   */
  async call<T>(path: string, body: unknown, schema: z.ZodType<T>): Promise<T> {
    const text = JSON.stringify(body);
    const deadline = performance.now() + this.#callMs;
    for (let tries = 1; ; tries++) {
      const member = this.#member;
      try {
        return await this.#attempt(path, text, schema);
      } catch (error) {
        if (error instanceof EtcdRefusal) throw error;
        this.#leave(member);
        const isLast = performance.now() >= deadline || this.#closed.signal.aborted;
        if (isLast) throw new EtcdUnreachable(path, error);
      }
      if (tries % this.#endpoints.length === 0) await this.#pause();
    }
  }

  /**
   * Events of a range, from a revision of etcd's on. Resolves when etcd ends it or `signal` does; rejects where the
   * connection is lost, or etcd no longer has that revision. `listener` is called with what one message brought.
   */
  async watch(
    keys: Operation,
    startRevision: number,
    listener: (events: readonly WatchEvent[]) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const member = this.#member;
    try {
      const create = { ...keys, start_revision: String(startRevision) };
      const body = JSON.stringify({ create_request: create });
      const both = AbortSignal.any([signal, this.#closed.signal]);
      const answer = await this.#send("/v3/watch", body, both);
      for await (const line of linesOf(answer.body)) {
        const message = watchMessage.parse(JSON.parse(line));
        if ("error" in message) throw new Error(message.error.message);
        const { canceled, cancel_reason, compact_revision, events } = message.result;
        if (compact_revision > 0) throw new Error(`etcd has forgotten revision ${startRevision}`);
        if (canceled) throw new Error(`etcd has ended the watch ${cancel_reason}`);
        if (events.length > 0) listener(events);
      }
    } catch (error) {
      if (signal.aborted || this.#closed.signal.aborted) return;
      this.#leave(member);
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await this.#agent.destroy();
  }

  async #attempt<T>(path: string, text: string, schema: z.ZodType<T>): Promise<T> {
    const limit = AbortSignal.any([AbortSignal.timeout(ATTEMPT_MS), this.#closed.signal]);
    for (let login = 1; ; login++) {
      try {
        const { body } = await this.#send(path, text, limit);
        return schema.parse(JSON.parse(await readText(body, MAX_ANSWER_BYTES)));
      } catch (error) {
        // A token has ended, or users were changed since it was made: log in again, once.
        if (!this.#isStaleLogin(error) || login > 1) throw error;
        this.#token = null;
      }
    }
  }

  #isStaleLogin(error: unknown): boolean {
    if (this.#credentials.login === undefined || !(error instanceof EtcdRefusal)) return false;
    if (error.code === UNAUTHENTICATED) return true;
    return error.code === INVALID_ARGUMENT && /auth|revision in header/i.test(error.message);
  }

  /** Resolves with an answer of status 200, of which the body is not read yet. */
  async #send(path: string, body: string, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const token = await this.#login(signal);
    const answer = await request(`${this.#endpoints[this.#member]}${path}`, {
      ...{ method: "POST", dispatcher: this.#agent, body, signal },
      headers: {
        "content-type": "application/json",
        // A member that is cut off from the others says so, instead of keeping a watch that tells nothing.
        "grpc-metadata-hasleader": "true",
        ...(token === null ? {} : { authorization: token }),
      },
    });
    if (answer.statusCode === 200) return answer;
    const text = await readText(answer.body, MAX_ERROR_BYTES);
    throw refusalOf(path, answer.statusCode, text);
  }

  async #login(signal: AbortSignal): Promise<string | null> {
    const { login } = this.#credentials;
    if (login === undefined) return null;
    this.#token ??= this.#authenticate(JSON.stringify(login), signal);
    try {
      return await this.#token;
    } catch (error) {
      this.#token = null;
      throw error;
    }
  }

  async #authenticate(text: string, signal: AbortSignal): Promise<string> {
    const path = "/v3/auth/authenticate";
    const answer = await request(`${this.#endpoints[this.#member]}${path}`, {
      ...{ method: "POST", dispatcher: this.#agent, body: text, signal },
      headers: { "content-type": "application/json" },
    });
    const body = await readText(answer.body, MAX_ERROR_BYTES);
    if (answer.statusCode !== 200) throw refusalOf(path, answer.statusCode, body);
    return loginAnswer.parse(JSON.parse(body)).token;
  }

  /** Others may have left the member already. */
  #leave(member: number): void {
    if (this.#member === member) this.#member = (member + 1) % this.#endpoints.length;
  }

  #pause(): Promise<void> {
    const { signal } = this.#closed;
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, PAUSE_MS);
      signal.addEventListener("abort", end);
      if (signal.aborted) end();
    });
  }
}

function refusalOf(path: string, status: number, text: string): Error {
  let parsed: z.infer<typeof errorAnswer>;
  try {
    parsed = errorAnswer.parse(JSON.parse(text));
  } catch {
    const reason = `HTTP status ${status} ${text.slice(0, REASON_LENGTH)}`.trim();
    // As for a client certificate with a Common Name, which the gateway does not take where etcd has users.
    if (status === 400) return new EtcdRefusal(path, INVALID_ARGUMENT, reason);
    return new Error(`${path}: ${reason}`);
  }
  const { code, message } = parsed;
  return FINAL.has(code)
    ? new EtcdRefusal(path, code, message)
    : new Error(`${path}: ${message} (code ${code})`);
}

async function readText(body: AsyncIterable<Buffer>, limitBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limitBytes) throw new Error(`etcd's answer exceeds ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString("utf8");
}

/** The gateway ends each message of a stream with a line break, and has none inside. */
async function* linesOf(body: AsyncIterable<Buffer>): AsyncIterable<string> {
  let pending: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...pending, chunk.subarray(start, end)]).toString("utf8");
      pending = [];
      size = 0;
      start = end + 1;
      if (line.trim() !== "") yield line;
    }
    if (start === chunk.length) continue;
    pending.push(chunk.subarray(start));
    size += chunk.length - start;
    if (size > MAX_MESSAGE_BYTES) throw new Error("a message of etcd's watch is too long");
  }
}
