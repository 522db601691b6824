import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import { until } from "../helpers/until.ts";
import { serviceObject } from "./install.ts";
import { KubeLab } from "./kube-lab.ts";
import type { KubeObject } from "./objects.ts";
import { kubeSkipReason } from "./programs.ts";

const SERVICES = 1_000;
const ENDPOINTS_EACH = 5;
/** Calls of the API server at a time. */
const WRITERS = 25;
/** Bounds that tell a fault from a busy machine; what was measured is in the report of the test. */
const BOUNDS = { loadMs: 60_000, restartMs: 60_000, changeMs: 3_000, registryMiB: 1_200 };

describe("a thousand services with five thousand endpoints", { skip: kubeSkipReason() }, () => {
  let lab: KubeLab;
  before(async () => {
    lab = await KubeLab.create();
    await lab.namespace("many");
    await lab.namespace("one");
    const client = { name: "client", namespace: "one", image: "client", node: "n1" } as const;
    const server = { name: "server", namespace: "one", image: "server", node: "n2" } as const;
    await lab.untilCaptured(await lab.pod(client), await lab.pod(server));
  });
  after(() => lab?.destroy());

  /** Waits until every daemon goes by all that there is; resolves with the ms that took. */
  async function settled(timeoutMs: number): Promise<number> {
    const startMs = performance.now();
    const isSo = async () => {
      const endpoints = await lab.ask<{ service: string }[]>("/v1/mesh/endpoints");
      const many = endpoints.filter(({ service }) => /^many-/.test(service));
      if (many.length < SERVICES * ENDPOINTS_EACH) return false;
      const { revision } = await lab.ask<{ revision: number }>("/v1/mesh/status");
      const held = lab.nodes.map((node) => node.metric("hostmesh_config_revision"));
      return (await Promise.all(held)).every((one) => one === revision);
    };
    await until(isSo, { timeoutMs, what: "everything at the daemons" });
    return performance.now() - startMs;
  }

  /** One change: from the write to the first answer by it. Resolves with the ms that took. */
  async function change(slice: KubeObject, url: string, address: string): Promise<number> {
    const { admin } = lab.cluster;
    await admin.apply({ ...slice, endpoints: [] });
    const status = async () => (await lab.http("one/client", url)).status;
    await until(async () => (await status()) !== 200, { what: "an end of the answers" });
    await admin.apply({ ...slice, endpoints: [{ addresses: [address] }] });
    const startMs = performance.now();
    await until(async () => (await status()) === 200, { what: "an answer" });
    return performance.now() - startMs;
  }

  function registryMiB(): number {
    const { pid } = lab.replicas[0]?.program ?? { pid: 0 };
    const text = readFileSync(`/proc/${pid}/status`, "utf8");
    return Math.round(Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1]) / 1_024);
  }

  test("reach the daemons, and a change is as quick as among few", async (context: TestContext) => {
    const { admin } = lab.cluster;
    const emptyMiB = registryMiB();
    const startMs = performance.now();
    const numbers = Array.from({ length: SERVICES }, (_, at) => at);
    await Promise.all(Array.from({ length: WRITERS }, () => write(numbers)));
    const writtenMs = performance.now() - startMs;
    const restMs = await settled(BOUNDS.loadMs);
    const [service] = await admin.apply(selectorless("single", "one"));
    const url = `http://${service?.["spec"].clusterIP}/`;
    const pod = await lab.ready({
      ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "server", namespace: "one" } },
    });
    const slice = sliceOf("single", "one", []);
    const changes: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      changes.push(await change(slice, url, pod["status"].podIP));
    }
    const fullMiB = registryMiB();
    await lab.replicas[0]?.program.end("SIGKILL");
    const killedMs = performance.now();
    assert.ok(lab.replicas[0] !== undefined);
    await lab.restart(lab.replicas[0]);
    const servingMs = performance.now() - killedMs;
    const againMs = servingMs + (await settled(BOUNDS.restartMs));
    const ms = (value: number) => `${Math.round(value)} ms`;
    const slowestMs = Math.max(...changes);
    for (const line of [
      `written in ${ms(writtenMs)}, at the daemons ${ms(restMs)} after the last write`,
      `one change, from the write to an answer by it: ${changes.map(ms).join(", ")}`,
      `registry started anew: serving after ${ms(servingMs)}, at the daemons after ${ms(againMs)}`,
      `registry: ${emptyMiB} MiB with nothing, ${fullMiB} MiB with all`,
    ]) {
      context.diagnostic(line);
    }
    assert.ok(slowestMs < BOUNDS.changeMs, `a change took ${slowestMs} ms`);
    assert.ok(fullMiB < BOUNDS.registryMiB, `the registry takes ${fullMiB} MiB`);
  });

  /** Takes numbers until there are none left. */
  async function write(numbers: number[]): Promise<void> {
    for (let at = numbers.pop(); at !== undefined; at = numbers.pop()) {
      const name = `many-${at}`;
      const addresses = Array.from(
        { length: ENDPOINTS_EACH },
        (_, digit) => `10.${100 + (at >> 8)}.${at & 255}.${digit + 1}`,
      );
      await lab.cluster.admin.create(selectorless(name, "many"));
      await lab.cluster.admin.create(sliceOf(name, "many", addresses));
    }
  }
});

function selectorless(name: string, namespace: string): KubeObject {
  const { spec, ...service } = serviceObject(name, namespace);
  const { selector: _, ...rest } = spec;
  return { ...service, spec: rest };
}

function sliceOf(name: string, namespace: string, addresses: readonly string[]): KubeObject {
  const labels = {
    "kubernetes.io/service-name": name,
    "endpointslice.kubernetes.io/managed-by": "tests",
  };
  return {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: { name: `${name}-1`, namespace, labels },
    ports: [{ name: "http", port: 8_080, protocol: "TCP" }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  } as KubeObject;
}
