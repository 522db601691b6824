import { Agent, get, type IncomingMessage } from "node:http";
import { askOn, openHttp2 } from "../contestants/probe-http2.ts";
import { BenchError } from "../lib/bench-error.ts";
import type { HttpProtocol, Target } from "../model.ts";

const TIMEOUT_MS = 10_000;
/** Size of each answer. */
const BODY_BYTES = 115;

/** Asks for so many small bodies, one after the other over one connection, which it closes then. */
export async function ask(target: Target, protocol: HttpProtocol, times: number): Promise<void> {
  if (protocol !== "http1") return askMultiplexed(target, protocol, times);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  try {
    for (let time = 0; time < times; time++) await askOnce(target, agent);
  } finally {
    agent.destroy();
  }
}

async function askMultiplexed(
  target: Target,
  protocol: "http2" | "grpc",
  times: number,
): Promise<void> {
  const question = { protocol, bodyBytes: BODY_BYTES, timeoutMs: TIMEOUT_MS };
  const session = openHttp2(target);
  try {
    for (let time = 0; time < times; time++) {
      const problem = await askOn(session, target, question);
      const { authority, host, port } = target;
      if (problem !== null) throw new BenchError(`${authority} at ${host}:${port}: ${problem}`);
    }
  } finally {
    session.destroy();
  }
}

async function askOnce({ host, port, authority }: Target, agent: Agent): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const path = `/${BODY_BYTES}`;
  const options = { host, port, agent, path, headers: { host: authority }, timeout: TIMEOUT_MS };
  const request = get(options, resolve);
  request.on("error", reject);
  request.on("timeout", () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
  const response = await promise.catch((error: unknown) => {
    throw new BenchError(`${authority} at ${host}:${port} does not answer`, { cause: error });
  });
  let bytes = 0;
  for await (const chunk of response) bytes += (chunk as Buffer).length;
  if (response.statusCode === 200 && bytes === BODY_BYTES) return;
  throw new BenchError(
    `${authority} at ${host}:${port} answered ${response.statusCode} with ${bytes} bytes`,
  );
}
