import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { setImmediate as turn } from "node:timers/promises";
import type { ExpositionFormat } from "../src/telemetry/exposition.ts";
import { expositionFormat } from "../src/telemetry/exposition-format.ts";
import type { Log } from "../src/telemetry/log.ts";
import { controlServer, json } from "./control-server.ts";
import type { Readiness } from "./readiness.ts";

/** Where the metrics come from, piece by piece. */
export interface Metered {
  expose(format: ExpositionFormat): AsyncIterable<string>;
}

const TYPES: Readonly<Record<ExpositionFormat, string>> = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
};

const LIMITS = {
  maxHeaderSize: 16_384,
  headersTimeout: 5_000,
  requestTimeout: 10_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
};
/** Scrapes at a time: one or two Prometheus, and people. */
const MAX_CONNECTIONS = 64;
/** A scraper that takes nothing for so long is gone (Prometheus' scrape_timeout is 10 s by default). */
const STALLED_MS = 10_000;

/**
 * `GET /metrics`, for Prometheus, in the format that it asks for. The text is made while it is sent, and between two pieces
 * the thread's other work has its turn.
 */
export function metricsServer(metrics: Metered, log: Log): Server {
  const server = createServer(LIMITS, (request, response) => {
    scrape(metrics, request, response).catch((error: unknown) => {
      log.error("a scrape failed", { reason: String(error) });
      response.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  return server;
}

async function scrape(
  metrics: Metered,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method, headers } = request;
  const refusal = refusalOf(request);
  if (refusal !== null) {
    response.writeHead(refusal, { "content-type": TYPES.text, connection: "close" }).end();
    return;
  }
  const format = expositionFormat(headers.accept ?? "");
  response.writeHead(200, { "content-type": TYPES[format], "cache-control": "no-store" });
  response.setTimeout(STALLED_MS, () => response.destroy());
  if (method === "HEAD") {
    response.end();
    return;
  }
  for await (const piece of metrics.expose(format)) {
    if (!response.write(piece)) await drained(response);
    if (response.destroyed) return;
    await turn();
  }
  response.end();
}

function refusalOf({ method, url }: IncomingMessage): number | null {
  if (URL.parse(url ?? "", "http://localhost")?.pathname !== "/metrics") return 404;
  return method === "GET" || method === "HEAD" ? null : 405;
}

/** There is room again, or nobody is there any more. */
function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      response.off("drain", settle);
      response.off("close", settle);
      resolve();
    };
    response.on("drain", settle);
    response.on("close", settle);
    if (response.destroyed) settle();
  });
}

/** `GET /healthz/ready`, for the kubelet and for load balancers: 200, or 503 with the reasons. */
export function readyServer(ready: () => Promise<Readiness>, log: Log): Server {
  const GET = async () => {
    const readiness = await ready();
    return json(readiness.ready ? 200 : 503, readiness);
  };
  return controlServer({ "/healthz/ready": { GET } }, { callers: "any", log });
}
