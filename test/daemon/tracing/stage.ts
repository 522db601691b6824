import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { DataPath } from "../../../daemon/data-path.ts";
import type { GenerationPorts } from "../../../daemon/generation-messages.ts";
import type { ConfigInput } from "../../../src/config/schema.ts";
import { RawClient } from "../../helpers/raw.ts";
import { startTestRegistry } from "../../helpers/registry.ts";
import { until } from "../../helpers/until.ts";
import { makeDataPath } from "../start-data-path.ts";

export interface TracingStage {
  readonly path: DataPath;
  readonly ports: GenerationPorts;
  readonly lines: readonly { readonly message: string }[];
  /** The head and content of the answer. */
  ask(lines?: string, host?: string): Promise<string>;
  /** Value of a sample of /metrics. */
  metric(sample: string): Promise<number>;
}

export async function serve(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  t.after(() => server.closeAllConnections());
  return (server.address() as AddressInfo).port;
}

/** A data path with a worker of its own thread, whose service `web` answers, and `gone`, where nobody is. */
export async function tracingStage(
  t: TestContext,
  tracing: NonNullable<NonNullable<ConfigInput["telemetry"]>["tracing"]>,
): Promise<TracingStage> {
  const dataDir = await mkdtemp(join(tmpdir(), "hostmesh-tracing-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const registry = await startTestRegistry({
    ...{ dataDir: join(dataDir, "registry"), host: "node-a", virtualCidr6: "", pingMs: 1_000 },
    balancer: { policy: "round-robin", slowStartMs: 0 },
  });
  t.after(() => registry.close());
  const web = await serve(t, (_, response) => void response.end("hello"));
  const register = async (name: string, port: number) => {
    const body = JSON.stringify({ Name: name, Port: port });
    const url = `${registry.url}/v1/agent/service/register`;
    assert.equal((await fetch(url, { method: "PUT", body })).status, 200);
  };
  await register("web", web);
  await register("gone", 1);
  const { path, sockets, lines } = makeDataPath({
    ...{ dataDir: join(dataDir, "daemon"), registry: { urls: [registry.url] } },
    telemetry: { tracing: { intervalMs: 10, ...tracing } },
  });
  t.after(() => sockets.close());
  t.after(() => path.stop());
  const ports = await path.start();
  const ask = async (more = "", host = "web"): Promise<string> => {
    const client = await RawClient.open(sockets.ports.explicit);
    client.send(`GET /a HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n${more}\r\n`);
    await until(() => client.ended);
    client.close();
    return client.received;
  };
  const metric = async (sample: string): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${ports.metrics}/metrics`);
    const line = (await answer.text()).split("\n").find((one) => one.startsWith(`${sample} `));
    return Number(line?.split(" ")[1] ?? Number.NaN);
  };
  await until(async () => (await ask("traceparent: 00-ab-cd-00\r\n")).startsWith("HTTP/1.1 200"));
  return { path, ports, lines, ask, metric };
}
