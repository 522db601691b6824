import { StringDecoder } from "node:string_decoder";
import { CliError } from "./cli-error.ts";
import type { HttpJsonOptions } from "./http-json.ts";
import { connectReason, originOf, refusal } from "./http-json.ts";

type HttpLinesOptions = Pick<HttpJsonOptions, "url" | "body" | "peer" | "remedy" | "tls"> & {
  /** Statuses with which the peer may refuse: its words are the result, not an error. */
  readonly mayRefuse: readonly number[];
  /** Ends the call, and what is read of it. */
  readonly signal: AbortSignal;
};

/** For the head of the answer; lines may then be as far apart as they like. */
const HEAD_MS = 10_000;
/** An event with all its headers is far below. */
const MAX_LINE_CHARS = 4 * 1_024 * 1_024;

/**
 * A POST that is answered with lines of JSON for as long as it takes: the lines, or the peer's words where it refuses. Throws a
 * CliError, with a remedy where the peer cannot be reached; so do the lines when the connection breaks, or a line is no JSON.
 */
export async function httpLines(
  options: HttpLinesOptions,
): Promise<AsyncGenerator<unknown> | string> {
  const { url, body, peer, remedy, tls, mayRefuse, signal } = options;
  const { Agent, request } = await import("undici");
  const dispatcher = new Agent({
    ...(tls === undefined ? {} : { connect: tls }),
    pipelining: 0,
    headersTimeout: HEAD_MS,
    bodyTimeout: 0,
  });
  try {
    const answer = await request(url, {
      method: "POST",
      dispatcher,
      signal,
      body: JSON.stringify(body),
      headers: { "content-type": "application/json" },
    });
    if (answer.statusCode < 300) return linesOf(answer.body, peer);
    const words = refusal(await answer.body.text());
    if (mayRefuse.includes(answer.statusCode)) return words;
    throw new CliError(`${peer} refused POST ${url}: ${answer.statusCode} ${words}`.trim());
  } catch (reason) {
    if (reason instanceof CliError) throw reason;
    const why = connectReason(reason);
    throw new CliError(`cannot reach ${peer} at ${originOf(url)}: ${why}`, {
      remedy,
      cause: reason,
    });
  }
}

async function* linesOf(body: AsyncIterable<Buffer>, peer: string): AsyncGenerator<unknown> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  try {
    for await (const chunk of body) {
      const lines = (rest + decoder.write(chunk)).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") yield parsed(line, peer);
      if (rest.length > MAX_LINE_CHARS) throw new CliError(`${peer} sent a line without an end`);
    }
  } catch (cause) {
    if (cause instanceof CliError) throw cause;
    throw new CliError(`the connection to ${peer} broke: ${connectReason(cause)}`, { cause });
  }
  if (rest.trim() !== "") throw new CliError(`${peer} broke off in the middle of a line`);
}

function parsed(line: string, peer: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new CliError(`${peer} sent what is no JSON: ${line.slice(0, 100)}`, { cause });
  }
}
