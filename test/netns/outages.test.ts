import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../helpers/until.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { kill } from "./helpers/namespace.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { Script } from "./helpers/program.ts";
import type { LoadReport } from "./helpers/reports.ts";

/** What containers notice of the death of everything that is not the data path, and of a part of that. */
describe("outages under load", { skip: skipReason() }, () => {
  let mesh: Mesh;
  let a: MeshHost;
  let b: MeshHost;
  let front: MeshContainer;
  let near: MeshContainer;
  let far: MeshContainer;
  let late: MeshContainer;
  let checked: MeshContainer;
  let url: string;
  let load: Script | null = null;

  before(async () => {
    mesh = await Mesh.create();
    a = await mesh.host("a", { veth: "unnumbered" });
    b = await mesh.host("b", { veth: "unnumbered" });
    front = await b.container("front", { address4: "10.2.0.2" });
    near = await b.container("near", { address4: "10.2.0.3" });
    checked = await b.container("checked", { address4: "10.2.0.4" });
    far = await a.container("far", { address4: "10.1.0.2" });
    late = await a.container("late", { address4: "10.1.0.3" });
    await Promise.all([near.app(2), far.app(2), late.app(2), mesh.startRegistry(a)]);
    await mesh.apply({
      services: [
        { name: "catalog", ports: [{ name: "", port: 80 }], balancer: { slowStartMs: 0 } },
      ],
      endpoints: [b.endpoint("near", "catalog", near), a.endpoint("far", "catalog", far)],
      workloads: [front.workload],
    });
    url = `http://${(await mesh.addressesOf("catalog")).v4}/`;
    // The registry is on the other host: its death takes nothing else along.
    await b.startDaemon({ capture: "tproxy" });
    await b.untilCaptured(front);
  });
  afterEach(async () => {
    await load?.end("SIGKILL");
    load = null;
  });
  after(() => mesh?.destroy());

  async function startLoad(): Promise<Script> {
    load = await front.load(url, 8, 4);
    return load;
  }
  const failuresOf = ({ failed, failures }: LoadReport): object => ({ failed, failures });
  const none = { failed: 0, failures: {} };

  test("the registry is killed and started again: no failure, and changes arrive", async (t) => {
    const running = await startLoad();
    await sleep(500);
    await mesh.registry.end("SIGKILL");
    await sleep(1_500);
    const without = await running.ask<LoadReport>({});
    assert.deepEqual(failuresOf(without), none);
    assert.ok(without.ok > 300, `${without.ok} requests`);

    await mesh.startRegistry(a);
    const restarted = performance.now();
    await mesh.apply({ endpoints: [a.endpoint("late", "catalog", late)] });
    const arrived = async () => {
      const report = await running.ask<LoadReport>({});
      assert.deepEqual(failuresOf(report), none);
      return (report.byServer["late"] ?? 0) > 0;
    };
    await until(arrived, { timeoutMs: 12_000, what: "the change after the restart" });
    t.diagnostic(
      `${without.ok} requests without a registry; a change made at its return arrived after ${(performance.now() - restarted).toFixed(0)} ms`,
    );
    await mesh.call("DELETE", "/v1/mesh/endpoints/a/late");
    const left = async () => {
      const { byServer } = await running.ask<LoadReport>({});
      await sleep(50);
      return byServer["late"] === undefined && Object.keys(byServer).length === 2;
    };
    await until(left, { what: "the removal" });
    const end = await running.ask<LoadReport>({ stop: true });
    assert.deepEqual(failuresOf(end), none);
  });

  test("the daemon of an endpoint's host checks it, and takes it out and back", async (t) => {
    const { address4 } = checked.container;
    const check = { tcp: `${address4}:8080`, intervalMs: 200, timeoutMs: 500 };
    const place = b.endpoint("checked", "checked", checked);
    await mesh.apply({ endpoints: [{ ...place, checks: [check] }] });
    const { v4 } = await mesh.addressesOf("checked");
    const ask = () => front.http(`http://${v4}:8080/`);
    assert.equal((await ask()).headers?.["x-hostmesh-error"], "NO_ENDPOINT", "not checked yet");
    const served = async () => (await ask()).status === 200;
    const passing = async () => {
      const { text = "" } = await mesh.call("GET", "/v1/health/service/checked?passing");
      return JSON.parse(text).length === 1;
    };
    for (const round of ["first", "second"]) {
      const app = await checked.app();
      const start = performance.now();
      await until(served, { what: `traffic in the ${round} round` });
      t.diagnostic(`${round}: served ${(performance.now() - start).toFixed(0)} ms after its start`);
      assert.equal(await passing(), true);
      await app.end("SIGKILL");
      const out = async () => (await ask()).headers?.["x-hostmesh-error"] === "NO_ENDPOINT";
      await until(out, { what: "the end of its traffic" });
      await until(async () => !(await passing()), { what: "the registry's word" });
    }
  });

  test("a generation that is killed is replaced, and traffic resumes", async (t) => {
    const held = await front.hold("tunnel", near.container.address4, 7_002);
    assert.deepEqual(held, {});
    assert.deepEqual(await front.echo("tunnel", "through the proxy"), {
      text: "through the proxy",
    });
    const running = await startLoad();
    await sleep(500);
    const before = await running.ask<LoadReport>({});
    assert.deepEqual(failuresOf(before), none);
    const [generation = 0] = b.daemon.children;
    kill(generation);
    const killed = performance.now();
    await until(() => b.daemon.children.some((pid) => pid !== generation), {
      what: "the next generation",
    });
    // A new connection waits in the socket, which the guardian holds, and is served late but not refused.
    const first = await front.http(url);
    const resumedMs = performance.now() - killed;
    assert.equal(first.status, 200, first.error);
    const gap = await running.ask<LoadReport>({});
    await sleep(1_000);
    const seen = await running.ask<LoadReport>({ stop: true });
    t.diagnostic(
      `served again ${resumedMs.toFixed(0)} ms after the kill; ${gap.failed} of the requests in flight failed: ${JSON.stringify(gap.failures)}`,
    );
    assert.ok(resumedMs < 5_000);
    assert.deepEqual(failuresOf(seen), none);
    assert.ok(seen.ok > 200);
    assert.ok(gap.failed <= 16, "at most what was open when it died");
    assert.equal((await front.echo("tunnel", "gone")).error, "CLOSED");
    const { stdout } = await b.host.namespace.run("ipset", ["save"]);
    assert.match(stdout, /add hostmesh-alive4 0\.0\.0\.0\/1 /, "capture went on all the while");
  });

  test("a daemon that starts while the registry is gone serves from its snapshot", async (t) => {
    assert.equal(await b.daemon.end("SIGTERM"), 0);
    await mesh.registry.end("SIGKILL");
    assert.equal((await front.http(url, { timeoutMs: 500 })).error, "TIMEOUT", "no daemon");
    const start = performance.now();
    await b.startDaemon({ capture: "tproxy" });
    await b.untilCaptured(front);
    const running = await startLoad();
    await sleep(800);
    const alone = await running.ask<LoadReport>({});
    t.diagnostic(
      `captured ${(performance.now() - start).toFixed(0)} ms after its start, ${alone.ok} requests without a registry`,
    );
    assert.deepEqual(failuresOf(alone), none);
    assert.deepEqual(Object.keys(alone.byServer).sort(), ["far", "near"]);

    await mesh.startRegistry(a);
    await mesh.apply({ endpoints: [a.endpoint("late", "catalog", late)] });
    const arrived = async () => ((await running.ask<LoadReport>({})).byServer["late"] ?? 0) > 0;
    await until(arrived, { timeoutMs: 12_000, what: "the change after the registry's return" });
  });
});
