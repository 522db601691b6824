import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { registryCall } from "../lib/registry-call.ts";

/**
 * A process that registers everything in a file with a registry, as soon as that answers:
 * `node apply-records.ts URL FILE SECONDS`, where FILE holds Records. A process of its own, because it runs in the
 * registry's network namespace.
 */
export interface Records {
  /** Services that are declared; the others come into being with their endpoints. */
  readonly services: readonly {
    readonly name: string;
    readonly mtls?: "required";
    readonly protocol?: "http2" | "grpc";
  }[];
  /** Without a host they are on the registry's own. */
  readonly endpoints: readonly {
    readonly id: string;
    readonly service: string;
    readonly host?: string;
    readonly address: string;
    readonly port: number;
  }[];
  readonly workloads: readonly {
    readonly name: string;
    readonly host?: string;
    readonly addresses: readonly string[];
  }[];
}

/** A call stays well below the largest body that the registry takes. */
const BATCH = 2_000;
const PAUSE_MS = 50;

const [, , url = "", file = "", seconds = "0"] = process.argv;
const until = performance.now() + Number(seconds) * 1_000;
const { services, endpoints, workloads }: Records = JSON.parse(await readFile(file, "utf8"));
for (;;) {
  const isUp = await registryCall(url, "GET", "/v1/mesh/status").then(
    () => true,
    () => false,
  );
  if (isUp) break;
  if (performance.now() > until) throw new Error(`the registry at ${url} does not answer`);
  await delay(PAUSE_MS);
}
const most = Math.max(services.length, endpoints.length, workloads.length);
for (let at = 0; at < most; at += BATCH) {
  await registryCall(url, "POST", "/v1/mesh/apply", {
    services: services.slice(at, at + BATCH),
    endpoints: endpoints.slice(at, at + BATCH),
    workloads: workloads.slice(at, at + BATCH),
  });
}
