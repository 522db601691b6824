import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { until } from "../helpers/until.ts";
import { type Host, Lab } from "./harness.ts";
import { kill } from "./helpers/namespace.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Script } from "./helpers/program.ts";
import { noTunReason, type ShapedLink } from "./helpers/shaped-link.ts";
import type { ProbeReport } from "./helpers/udp-probe.ts";

const PORT = 7_777;

/** Two hosts, with nothing between them but a process that carries packets. */
describe("a link that can be spoiled", { skip: noTunReason() || skipReason() }, () => {
  let lab: Lab;
  let a: Host;
  let b: Host;
  let link: ShapedLink;
  let agent: Script;
  let near: Script;
  let far: Script;

  before(async () => {
    lab = await Lab.create();
    a = await lab.host("a", { veth: "unnumbered" });
    b = await lab.host("b", { veth: "unnumbered" });
    link = await lab.shapedLink(a, b, 7);
    agent = await Script.start(a.namespace, "agent");
    await Script.start(b.namespace, "app", ["far"]);
    near = await Script.start(a.namespace, "udp-probe", [PORT]);
    far = await Script.start(b.namespace, "udp-probe", [PORT]);
  });
  after(() => lab?.destroy());

  /** So many datagrams there and back. */
  function probe(count: number, intervalMs: number, to: Host = b): Promise<ProbeReport> {
    const question = { host: to.address4, count, intervalMs, waitMs: 300 };
    return (to === b ? near : far).ask<ProbeReport>(question);
  }

  const summary = async (host = b.address4) => {
    const send = "x".repeat(300_000);
    const exchange = { op: "tcp", host, port: 7_000, send };
    return agent.ask<{ text: string; ms: number; error?: string }>(exchange);
  };
  const whole = "far read 300000 bytes";

  test("carries IPv4 and IPv6 both ways when nothing is asked of it", async () => {
    assert.equal((await probe(20, 1)).order.length, 20);
    assert.equal((await probe(20, 1, a)).order.length, 20);
    assert.equal((await summary()).text, whole);
    assert.equal((await summary(b.address6)).text, whole);
  });

  test("delays both directions", async () => {
    await link.shape({ delayMs: 30 });
    const both = await probe(20, 1);
    assert.equal(both.order.length, 20);
    assert.ok(both.leastMs >= 60, `${both.leastMs} ms there and back`);
    await link.shape({});
    await link.shape({ delayMs: 40 }, 1);
    const { leastMs } = await probe(60, 5);
    assert.ok(leastMs >= 40 && leastMs < 80, `${leastMs} ms there and back`);
    await link.shape({});
  });

  test("loses a share that TCP makes good", async () => {
    await link.shape({ lossShare: 0.2 }, 0);
    const { order } = await probe(400, 1);
    assert.ok(order.length > 260 && order.length < 380, `${order.length} of 400`);
    await link.shape({ lossShare: 0.02 });
    assert.equal((await summary()).text, whole);
    await link.shape({});
  });

  test("reorders and duplicates what TCP puts right", async () => {
    await link.shape({ delayMs: 2, reorderShare: 0.1, reorderMs: 20, duplicateShare: 0.1 }, 0);
    const { order } = await probe(200, 1);
    assert.equal(new Set(order).size, 200);
    assert.ok(order.length > 200, "some came twice");
    const late = order.filter((number, at) => at > 0 && number < order[at - 1]!).length;
    assert.ok(late > 2, `${late} came late`);
    const { text, error } = await summary();
    assert.equal(text, whole, error);
    await link.shape({});
  });

  test("limits the rate", async () => {
    await link.shape({ bytesPerSecond: 300_000 }, 0);
    const { text, ms } = await summary();
    assert.equal(text, whole);
    assert.ok(ms > 900, `${ms} ms for 300 kB at 300 kB/s`);
    await link.shape({});
  });

  test("is cut, and mended", async () => {
    await link.shape({ cut: true });
    assert.deepEqual((await probe(3, 1)).order, []);
    await link.shape({});
    assert.deepEqual((await probe(3, 1)).order, [0, 1, 2]);
    const [there, back] = await link.tallies();
    assert.ok(there.lost >= 3 && there.delivered > 0 && back.delivered > 0);
  });

  test("vanishes with its process, and so it does when its owner is killed", async () => {
    const folders = [a, b].map(({ namespace }) => namespace);
    const seen = async () => {
      const all = await Promise.all(folders.map((one) => one.exec("ip", ["-br", "link"])));
      return all.some((text) => /^link1/m.test(text));
    };
    assert.equal(await seen(), true);
    kill(link.program.pid);
    await until(async () => !(await seen()), { what: "the end of its devices" });

    const orphan = await lab.shapedLink(a, b);
    assert.ok(existsSync(`/proc/${orphan.program.pid}`));
    // As the kernel does for an owner that was killed.
    orphan.program.child.stdin?.destroy();
    await until(() => !existsSync(`/proc/${orphan.program.pid}`), {
      what: "the end of the process",
    });
  });
});
