import { connect } from "node:net";
import type { Health } from "../core/model.ts";
import type { HttpSpec, TcpSpec } from "./records.ts";

/** Longest output that is reported; Consul's default. */
const OUTPUT_BYTES = 4_096;
/** Go's limit, which Consul inherits. */
const MAX_REDIRECTS = 10;

/** What one run of a check found. */
export interface ProbeResult {
  readonly status: Health;
  readonly output: string;
}

/**
 * One HTTP check with Consul's rules: 2xx passes, 429 warns, everything else and every failure is
 * critical. Never rejects. `signal` ends it early.
 */
export async function probeHttp(spec: HttpSpec, signal: AbortSignal): Promise<ProbeResult> {
  // Loaded with the first check: on a host without one it would be a tenth of the daemon's own memory.
  const { Agent, interceptors, request } = await import("undici");
  // A new connection each time: a check that rides on an old one would not see that no new one is accepted.
  const agent = new Agent({
    connections: 1,
    pipelining: 1,
    connect: {
      timeout: spec.timeoutMs,
      rejectUnauthorized: !spec.tlsSkipVerify,
      ...(spec.tlsServerName === "" ? {} : { servername: spec.tlsServerName }),
    },
    maxHeaderSize: 16_384,
  });
  const maxRedirections = MAX_REDIRECTS;
  const dispatcher = spec.followRedirects
    ? agent.compose(interceptors.redirect({ maxRedirections }))
    : agent;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(spec.timeoutMs)]);
  try {
    const { statusCode, body } = await request(spec.url, {
      dispatcher,
      method: spec.method,
      headers: headersOf(spec),
      body: spec.body === "" ? null : spec.body,
      signal: limit,
    });
    const text = await readStart(body);
    const summary = `HTTP ${spec.method} ${spec.url}: ${statusCode} Output: ${text}`;
    return { status: statusOf(statusCode), output: summary.slice(0, OUTPUT_BYTES) };
  } catch (error) {
    const reason =
      limit.aborted && !signal.aborted ? `no answer in ${spec.timeoutMs} ms` : messageOf(error);
    return { status: "critical", output: `HTTP ${spec.method} ${spec.url}: ${reason}` };
  } finally {
    await agent.destroy();
  }
}

/** One TCP check: a connection that is accepted in time passes. Never rejects. */
export function probeTcp(spec: TcpSpec, signal: AbortSignal): Promise<ProbeResult> {
  const target = `TCP connect ${spec.address}:${spec.port}`;
  return new Promise((resolve) => {
    const socket = connect({ host: spec.address, port: spec.port, noDelay: true });
    const limit = AbortSignal.any([signal, AbortSignal.timeout(spec.timeoutMs)]);
    const end = (status: Health, text: string) => {
      limit.removeEventListener("abort", late);
      socket.destroy();
      resolve({ status, output: `${target}: ${text}` });
    };
    const late = () => end("critical", `no connection in ${spec.timeoutMs} ms`);
    limit.addEventListener("abort", late);
    socket.once("connect", () => end("passing", "Success"));
    socket.on("error", (error) => end("critical", messageOf(error)));
    if (limit.aborted) late();
  });
}

function statusOf(code: number): Health {
  if (code >= 200 && code < 300) return "passing";
  return code === 429 ? "warning" : "critical";
}

/** Names and values in turn, the form in which undici takes a repeated field. */
function headersOf(spec: HttpSpec): string[] {
  const given = Object.entries(spec.headers);
  const named = given.some(([name]) => name.toLowerCase() === "user-agent");
  const flat = given.flatMap(([name, values]) => values.flatMap((value) => [name, value]));
  return named ? flat : ["user-agent", "hostmesh health check", ...flat];
}

/** The first bytes of a body; the rest is never read, however long it is. */
async function readStart(body: AsyncIterable<Buffer> & { destroy(): unknown }): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size >= OUTPUT_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, OUTPUT_BYTES).toString("utf8");
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? ` (${String(error.code)})` : "";
  return `${error.message || error.name}${code}`;
}
