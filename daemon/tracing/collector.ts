import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import type { Agent, Dispatcher } from "undici";
import type { Config } from "../../src/config/schema.ts";

/** What became of an export. */
export type ExportAnswer =
  /** `refusedSpans`: of a partial success. */
  | { readonly kind: "taken"; readonly refusedSpans: number; readonly message: string }
  | { readonly kind: "refused"; readonly reason: string }
  /** Worth another try; `retryAfter` is the value of that header. */
  | { readonly kind: "busy"; readonly reason: string; readonly retryAfter: string };

/** Where spans go. */
export interface Collector {
  /** Sends one request; rejects where there was no answer, or a file could not be read. */
  send(body: string, signal: AbortSignal): Promise<ExportAnswer>;
  close(): Promise<void>;
}

type TracingSettings = Config["telemetry"]["tracing"];

/** Statuses for which OTLP wants another try (OTLP specification, "Retryable Response Codes"). */
const RETRYABLE = new Set([429, 502, 503, 504]);
/** Answers are small; more of one is not read. */
const MAX_ANSWER_BYTES = 65_536;
const MAX_REASON = 300;
const HEADER = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*$/;

const zipped = promisify(gzip);

/** A collector that takes OTLP over HTTP in JSON. */
export class HttpCollector implements Collector {
  readonly #settings: TracingSettings;
  #agent: Agent | null = null;
  /** The authorities that the agent trusts. */
  #ca = "";

  constructor(settings: TracingSettings) {
    this.#settings = settings;
  }

  async send(text: string, signal: AbortSignal): Promise<ExportAnswer> {
    const { endpoint, compression, headersFile } = this.#settings;
    const isZipped = compression === "gzip";
    const headers = {
      ...(headersFile === "" ? {} : readHeaders(await readFile(headersFile, "latin1"))),
      "content-type": "application/json",
      "user-agent": "hostmesh",
      ...(isZipped ? { "content-encoding": "gzip" } : {}),
    };
    const { request } = await import("undici");
    const dispatcher = await this.#dispatcher();
    const body = isZipped ? await zipped(text) : text;
    const answer = await request(endpoint, { method: "POST", headers, body, dispatcher, signal });
    return judged(answer);
  }

  async close(): Promise<void> {
    await this.#agent?.destroy();
  }

  /** A file that was replaced counts from the next export on. */
  async #dispatcher(): Promise<Dispatcher> {
    const { caFile, timeoutMs } = this.#settings;
    const ca = caFile === "" ? "" : await readFile(caFile, "latin1");
    if (this.#agent !== null && this.#ca === ca) return this.#agent;
    await this.#agent?.destroy();
    this.#ca = ca;
    // Only a daemon that exports spans has it in memory.
    const { Agent: UndiciAgent } = await import("undici");
    this.#agent = new UndiciAgent({
      connect: { timeout: timeoutMs, ...(ca === "" ? {} : { ca }) },
      ...{ headersTimeout: timeoutMs, bodyTimeout: timeoutMs },
      ...{ connections: 1, pipelining: 1, maxResponseSize: MAX_ANSWER_BYTES },
    });
    return this.#agent;
  }
}

async function judged(answer: Dispatcher.ResponseData): Promise<ExportAnswer> {
  const { statusCode, headers } = answer;
  const text = await answer.body.text();
  if (statusCode >= 200 && statusCode < 300) return partialSuccess(text);
  const reason = `${statusCode} ${text.slice(0, MAX_REASON)}`.trim();
  if (!RETRYABLE.has(statusCode)) return { kind: "refused", reason };
  return { kind: "busy", reason, retryAfter: String(headers["retry-after"] ?? "") };
}

/** `{"partialSuccess":{"rejectedSpans":"3","errorMessage":"..."}}`; everything else is a full success. */
function partialSuccess(text: string): ExportAnswer {
  const { rejectedSpans = 0, errorMessage = "" } = partOf(partOf(parsed(text), "partialSuccess"));
  const refused = Number(rejectedSpans);
  return {
    kind: "taken",
    refusedSpans: Number.isInteger(refused) && refused > 0 ? refused : 0,
    message: String(errorMessage).slice(0, MAX_REASON),
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Its status has said that all is well.
    return null;
  }
}

/** A field of an object, or the object itself, as a record of whatever it holds. */
function partOf(value: unknown, name?: string): Record<string, unknown> {
  const record = typeof value === "object" && value !== null ? { ...value } : {};
  return name === undefined ? record : partOf((record as Record<string, unknown>)[name]);
}

/** Headers of a file. Throws where a line is none: a token that is not sent would look like one that is refused. */
export function readHeaders(text: string): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [, name = "", value = ""] = HEADER.exec(line) ?? [];
    if (name === "") throw new Error(`line ${index + 1} of the headers file is no header`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}
