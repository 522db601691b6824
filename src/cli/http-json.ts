import type { Agent as UndiciAgent } from "undici";
import { CliError } from "./cli-error.ts";

export interface HttpJsonOptions {
  readonly method: "GET" | "PUT" | "POST" | "DELETE";
  readonly url: string;
  readonly body?: unknown;
  /** Who answers there, for messages: "the registry", "the daemon". */
  readonly peer: string;
  /** What to do when nobody does. */
  readonly remedy: string;
  readonly timeoutMs?: number;
  /** For an https URL; absent: the system's authorities and the host's name count. */
  readonly tls?: NonNullable<UndiciAgent.Options["connect"]>;
  /** Statuses from 300 on that are an answer like any other. */
  readonly alsoOk?: readonly number[];
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  ENOTFOUND: "no such host",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ETIMEDOUT: "timed out",
  UND_ERR_CONNECT_TIMEOUT: "timed out",
  UND_ERR_HEADERS_TIMEOUT: "timed out",
};

/** Short form of why a connection failed, out of the error codes below a fetch. */
export function connectReason(reason: unknown): string {
  for (let at: unknown = reason; at instanceof Error; at = at.cause) {
    const code = "code" in at ? String(at.code) : "";
    const text = REASONS[code];
    if (text !== undefined) return text;
    if (at instanceof AggregateError && at.errors[0] instanceof Error) {
      return connectReason(at.errors[0]);
    }
  }
  return reason instanceof Error ? reason.message : String(reason);
}

/**
 * One call of a JSON API. An empty answer is null, an answer that is no JSON comes as text. Throws a CliError
 * for a peer that cannot be reached and for any status from 300 on, with the peer's own words.
 */
export async function httpJson(options: HttpJsonOptions): Promise<unknown> {
  const { method, url, body, peer, remedy, timeoutMs = 5_000, alsoOk = [], tls } = options;
  let status: number;
  let text: string;
  try {
    // Loading it takes longer than many a command that needs no network at all.
    const { Agent, request } = await import("undici");
    const answer = await request(url, {
      method,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs * 2),
      // One call on one connection, which must not keep the command from ending.
      ...(tls === undefined ? {} : { dispatcher: new Agent({ connect: tls, pipelining: 0 }) }),
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
    });
    status = answer.statusCode;
    text = await answer.body.text();
  } catch (reason) {
    throw new CliError(`cannot reach ${peer} at ${originOf(url)}: ${connectReason(reason)}`, {
      remedy,
      cause: reason,
    });
  }
  if (status < 300 || alsoOk.includes(status)) return parsed(text);
  throw new CliError(`${peer} refused ${method} ${url}: ${status} ${refusal(text)}`.trim());
}

/** Scheme, host and port, for messages. */
export function originOf(url: string): string {
  return URL.canParse(url) ? new URL(url).origin : url;
}

function parsed(text: string): unknown {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The peer's words: `{"error": ...}`, or the text itself. */
export function refusal(text: string): string {
  const body = parsed(text);
  if (typeof body === "object" && body !== null && "error" in body) {
    return typeof body.error === "string" ? body.error : JSON.stringify(body.error);
  }
  return text.trim().slice(0, 500);
}
