import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../helpers/until.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { Script } from "./helpers/program.ts";
import type { LoadReport } from "./helpers/reports.ts";

const WARM_UP_MS = 2_500;
const MEASURED_MS = 2_500;

interface Served {
  readonly requests: number;
  readonly lastMs: number;
}

/** Real load from a container that knows nothing of a proxy; what it may not notice is the point. */
describe("endpoints under load", { skip: skipReason() }, () => {
  let mesh: Mesh;
  let host: MeshHost;
  let front: MeshContainer;
  let load: Script | null = null;

  before(async () => {
    mesh = await Mesh.create();
    host = await mesh.host("a", { veth: "unnumbered", ipv6: false });
    front = await host.container("front", { address4: "10.1.0.2" });
    await mesh.startRegistry(host);
    await mesh.apply({ workloads: [front.workload] });
    // A container that is gone altogether is found out by the time limit of a connection.
    await host.startDaemon({ capture: "tproxy", set: ["timeouts.connectMs=1000"] });
    await host.untilCaptured(front);
  });
  afterEach(async () => {
    await load?.end("SIGKILL");
    load = null;
  });
  after(() => mesh?.destroy());

  let last = 9;
  /** A container with the application. */
  async function server(delayMs: number): Promise<{ at: MeshContainer; app: Script }> {
    last += 1;
    const at = await host.container(`s${last}`, { address4: `10.1.0.${last}` });
    return { at, app: await at.app(delayMs) };
  }

  /** Registers the containers as a service and puts it under load. */
  async function loaded(
    service: string,
    servers: readonly { at: MeshContainer }[],
    { balancer = {}, loops = 8 } = {},
  ): Promise<Script> {
    await mesh.apply({
      services: [{ name: service, ports: [{ name: "", port: 80 }], balancer }],
      endpoints: servers.map(({ at }) => host.endpoint(at.name, service, at)),
    });
    const { v4 } = await mesh.addressesOf(service);
    await until(async () => (await front.http(`http://${v4}/`)).status === 200);
    load = await front.load(`http://${v4}/`, loops, 2);
    return load;
  }

  const report = (more: object = {}): Promise<LoadReport> => {
    if (load === null) throw new Error("there is no load");
    return load.ask(more);
  };
  const none = { failed: 0, failures: {} };
  const failuresOf = ({ failed, failures }: LoadReport): object => ({ failed, failures });

  test("one that is ten times slower keeps less than a quarter of a fair share", async (t) => {
    const servers = await Promise.all([server(5), server(5), server(50)]);
    const slow = servers[2]!;
    await loaded("uneven", servers);
    await sleep(WARM_UP_MS);
    await report();
    const before = await slow.app.ask<Served>({});
    await sleep(MEASURED_MS);
    const seen = await report();
    const { requests } = await slow.app.ask<Served>({});
    const stats = (await host.stats()).services.find(({ service }) => service === "default/uneven");
    const told = stats?.endpoints.find(({ id }) => id === `a/${slow.at.name}`);
    const share = (requests - before.requests) / seen.ok;
    t.diagnostic(
      `share of the slow endpoint ${share.toFixed(4)} (fair 0.333), daemon says ${told?.share?.toFixed(4)} over its window; ${seen.ok} requests, p50 ${seen.p50Ms} ms, p99 ${seen.p99Ms} ms`,
    );
    assert.deepEqual(failuresOf(seen), none);
    assert.ok(share < 1 / 3 / 4, `share ${share}`);
    assert.ok(requests > 0, "it was tried");
    assert.ok((told?.share ?? 1) < 1 / 3 / 4 + 0.05, "GET /stats says so too");
    assert.ok((told?.latencyEwmaMs ?? 0) > 25, "and knows why");
  });

  test("one whose process is killed fails no request", async (t) => {
    const servers = await Promise.all([server(20), server(20), server(20)]);
    await loaded("killed", servers, { loops: 16 });
    await sleep(1_000);
    const victim = servers[0]!;
    const before = await report();
    assert.ok((before.byServer[victim.at.name] ?? 0) > 5, "it was serving");
    await victim.app.end("SIGKILL");
    await sleep(2_000);
    const seen = await report({ stop: true });
    const retried = await host.metric("hostmesh_retries_total", { destination: "default/killed" });
    t.diagnostic(
      `${seen.ok} requests after the kill, ${retried} replayed, slowest ${seen.maxMs} ms`,
    );
    assert.deepEqual(failuresOf(seen), none);
    assert.ok(seen.ok > 200);
    assert.ok(retried > 0, "requests were in flight at it");
  });

  test("one whose whole container is gone fails no request", async (t) => {
    const servers = await Promise.all([server(20), server(20), server(20)]);
    await loaded("gone", servers, { loops: 16 });
    await sleep(1_000);
    const victim = servers[0]!;
    const before = await report();
    assert.ok((before.byServer[victim.at.name] ?? 0) > 5, "it was serving");
    await victim.at.container.namespace.destroy();
    await sleep(3_000);
    const seen = await report({ stop: true });
    t.diagnostic(
      `${seen.ok} requests after the end, p99 ${seen.p99Ms} ms, slowest ${seen.maxMs} ms`,
    );
    assert.deepEqual(failuresOf(seen), none);
    assert.ok(seen.ok > 200);
  });

  test("one that is deregistered fails no request and gets none after 100 ms", async (t) => {
    const servers = await Promise.all([server(5), server(5), server(5)]);
    await loaded("leaving", servers, { balancer: { slowStartMs: 0 } });
    await sleep(1_000);
    const leaver = servers[0]!;
    const before = await report();
    assert.ok((before.byServer[leaver.at.name] ?? 0) > 20, "it was serving");
    const { sentMs, doneMs } = await mesh.call("DELETE", `/v1/mesh/endpoints/a/${leaver.at.name}`);
    await sleep(1_000);
    const seen = await report({ stop: true });
    const { lastMs } = await leaver.app.ask<Served>({});
    t.diagnostic(
      `last new request ${(lastMs - sentMs).toFixed(1)} ms after the call was sent (answered after ${(doneMs - sentMs).toFixed(1)} ms); ${seen.ok} requests meanwhile`,
    );
    assert.deepEqual(failuresOf(seen), none);
    assert.ok(lastMs < doneMs + 100, `${lastMs - doneMs} ms after the answer`);
    assert.ok(seen.ok > 200);
  });

  test("one that is added gets its share without being waited for", async (t) => {
    const servers = await Promise.all([server(5), server(5)]);
    const joiner = await server(5);
    await loaded("joining", servers, { balancer: { slowStartMs: 0 } });
    await sleep(500);
    await report();
    const { doneMs } = await mesh.apply({
      endpoints: [host.endpoint(joiner.at.name, "joining", joiner.at)],
    });
    const first = async () => (await joiner.app.ask<Served>({})).requests > 0;
    await until(first, { what: "its first request" });
    const { lastMs } = await joiner.app.ask<Served>({});
    await sleep(1_500);
    const seen = await report({ stop: true });
    const share = (seen.byServer[joiner.at.name] ?? 0) / seen.ok;
    t.diagnostic(
      `first request within ${(lastMs - doneMs).toFixed(1)} ms of the answer, share ${share.toFixed(3)}`,
    );
    assert.deepEqual(failuresOf(seen), none);
    assert.ok(share > 0.15, `share ${share}`);
  });
});
