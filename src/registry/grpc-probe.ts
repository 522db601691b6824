import { GRPC } from "../core/grpc.ts";
import type { ProbeResult } from "./check-probes.ts";
import type { GrpcSpec } from "./records.ts";

const PATH = "/grpc.health.v1.Health/Check";
/** Field 1 of protocol buffers: a text, or a whole number. */
const TEXT_FIELD = 0x0a;
const NUMBER_FIELD = 0x08;
/** Of `HealthCheckResponse.ServingStatus`. */
const STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
/** An answer is two bytes and its prefix; whoever sends more does not speak of health. */
const MOST_BYTES = 1_024;

/**
 * One check by gRPC's health protocol (grpc/grpc, doc/health-checking.md): SERVING passes, as in Consul everything else and
 * every failure is critical. Never rejects. `signal` ends it early.
 */
export async function probeGrpc(spec: GrpcSpec, signal: AbortSignal): Promise<ProbeResult> {
  const of = spec.service === "" ? "" : `/${spec.service}`;
  const target = `gRPC check ${spec.address}:${spec.port}${of}`;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(spec.timeoutMs)]);
  try {
    const found = await ask(spec, limit);
    const status = found === "SERVING" ? "passing" : "critical";
    return { status, output: `${target}: ${found}` };
  } catch (error) {
    const isLate = limit.aborted && !signal.aborted;
    const reason = error instanceof Error ? error.message || error.name : String(error);
    const text = isLate ? `no answer in ${spec.timeoutMs} ms` : reason;
    return { status: "critical", output: `${target}: ${text}` };
  }
}

/** Loaded with the first check, as for `probeHttp`, and a new connection each time. */
async function clientOf({ address, port, tls, ...spec }: GrpcSpec) {
  const { Client, H2CClient } = await import("undici");
  const host = address.includes(":") ? `[${address}]` : address;
  const timeout = spec.timeoutMs;
  if (!tls) return new H2CClient(`http://${host}:${port}`, { connect: { timeout } });
  const name = spec.tlsServerName === "" ? {} : { servername: spec.tlsServerName };
  return new Client(`https://${host}:${port}`, {
    allowH2: true,
    connect: { timeout, rejectUnauthorized: !spec.tlsSkipVerify, ...name },
  });
}

async function ask(spec: GrpcSpec, signal: AbortSignal): Promise<string> {
  const client = await clientOf(spec);
  try {
    const { statusCode, headers, body, trailers } = await client.request({
      ...{ path: PATH, method: "POST", body: askFor(spec.service), signal },
      headers: {
        ...{ "content-type": "application/grpc", te: "trailers" },
        ...{ "user-agent": "hostmesh health check", "grpc-timeout": `${spec.timeoutMs}m` },
      },
    });
    if (statusCode !== 200) return `HTTP status ${statusCode}`;
    const message = await readAll(body);
    const status = headers["grpc-status"] ?? trailers["grpc-status"];
    if (Number(status) !== GRPC.OK || status === undefined) return `gRPC status ${status}`;
    return statusIn(message);
  } finally {
    await client.destroy();
  }
}

/** `HealthCheckRequest` of a service, with the prefix of a message. */
function askFor(service: string): Buffer {
  const name = Buffer.from(service);
  const message =
    name.length === 0 ? name : Buffer.concat([Buffer.from([TEXT_FIELD, name.length]), name]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

async function readAll(body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MOST_BYTES) throw new Error("the answer is too long");
  }
  return Buffer.concat(chunks);
}

/** Of a `HealthCheckResponse`; a field that is left out is 0. */
function statusIn(message: Buffer): string {
  const isWhole = message.length >= 5 && message.readUInt32BE(1) === message.length - 5;
  if (!isWhole || message[0] !== 0) throw new Error("the answer is no message of gRPC");
  if (message.length === 5) return STATUSES[0]!;
  const isStatus = message.length === 7 && message[5] === NUMBER_FIELD;
  if (!isStatus) throw new Error("the answer is no HealthCheckResponse");
  return STATUSES[message[6]!] ?? `status ${message[6]}`;
}
