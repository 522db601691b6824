import type { Server } from "node:http";
import type { Log } from "../src/telemetry/log.ts";
import { controlServer, json } from "./control-server.ts";
import type { Readiness } from "./readiness.ts";

/** Where the metrics come from: a prom-client `Registry`. */
export interface Exposition {
  readonly contentType: string;
  metrics(): Promise<string>;
}

/** `GET /metrics`, for Prometheus. */
export function metricsServer(exposition: Exposition, log: Log): Server {
  const GET = async () => ({
    status: 200,
    type: exposition.contentType,
    body: await exposition.metrics(),
  });
  return controlServer({ "/metrics": { GET } }, { callers: "any", log });
}

/** `GET /healthz/ready`, for the kubelet and for load balancers: 200, or 503 with the reasons. */
export function readyServer(ready: () => Promise<Readiness>, log: Log): Server {
  const GET = async () => {
    const readiness = await ready();
    return json(readiness.ready ? 200 : 503, readiness);
  };
  return controlServer({ "/healthz/ready": { GET } }, { callers: "any", log });
}
