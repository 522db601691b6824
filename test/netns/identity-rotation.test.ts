import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { issue, spiffe } from "../helpers/mesh-lab.ts";
import { until } from "../helpers/until.ts";
import { type IdentityStage, identityStage, PORTS } from "./helpers/identity-stage.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { Script } from "./helpers/program.ts";
import type { LoadReport } from "./helpers/reports.ts";
import { authorityOf, type Knock, Thief, webOf } from "./helpers/thief.ts";

/** Renewed every 5 s. */
const LEAF_MS = 10_000;

describe("certificates that expire and authorities that go, under load", {
  skip: skipReason(),
}, () => {
  let stage: IdentityStage;
  let loads: Script[];
  /** Opaque connections one after the other: each is a handshake with the certificates of that moment. */
  let tunnels: { stop: boolean; done: Promise<{ ok: number; failed: string[] }> } | undefined;
  before(async () => {
    stage = await identityStage({
      registry: [`registry.leafLifetimeMs=${LEAF_MS}`],
      // Pooled connections are opened anew all the time too.
      daemon: ["timeouts.upstreamIdleMs=200"],
    });
    const { front, back, near, far, mesh } = stage;
    const virtual = await mesh.addressesOf("near");
    loads = await Promise.all([
      front.load(`http://${far.container.address4}:${PORTS.http}/`, 4, 20),
      front.load(`http://${far.container.address4}:${PORTS.http}/`, 1, 500, "fresh"),
      back.load(`http://${virtual.v4}/`, 4, 20),
      back.load(`http://${near.container.address4}:${PORTS.http}/`, 1, 500, "fresh"),
    ]);
    tunnels = tunnel();
  });
  after(async () => {
    if (tunnels !== undefined) tunnels.stop = true;
    await tunnels?.done;
    await stage?.mesh.destroy();
  });

  function tunnel(): NonNullable<typeof tunnels> {
    const { front, far } = stage;
    const state = { stop: false, done: Promise.resolve({ ok: 0, failed: [] as string[] }) };
    const loop = async () => {
      const failed: string[] = [];
      let ok = 0;
      while (!state.stop) {
        const wanted = { send: "\u0000word", expect: "word" };
        const { text, error } = await front.tcp(far.container.address4, PORTS.echo, wanted);
        if (text === "\u0000word") ok += 1;
        else failed.push(error ?? text);
      }
      return { ok, failed };
    };
    state.done = loop();
    return state;
  }

  /** Nothing may have failed since the last look, and something must have been done. */
  async function look(stop = false): Promise<void> {
    for (const load of loads) {
      const { ok, failures } = await load.ask<LoadReport>({ stop });
      assert.deepEqual(failures, {});
      assert.ok(ok > 5, `${ok} requests`);
    }
  }

  async function notAfterMs(identity: string): Promise<number> {
    const { text = "" } = await stage.mesh.call("GET", "/v1/identity/issued");
    const issued: { identity: string; notAfterMs: number }[] = JSON.parse(text);
    return issued.find((one) => one.identity === identity)?.notAfterMs ?? 0;
  }

  async function anchors(): Promise<string[]> {
    const { text = "" } = await stage.mesh.call("GET", "/v1/identity/trust");
    return JSON.parse(text).anchors;
  }

  test("certificates are renewed, and expire, with no request failed", async () => {
    const names = [spiffe("front"), spiffe("far"), spiffe("near"), spiffe("back")];
    const first = await Promise.all(names.map(notAfterMs));
    const deadMs = Math.max(...first) + 2_000;
    assert.ok(deadMs < Date.now() + LEAF_MS + 5_000, "they are as short-lived as was asked for");
    const expired = () => Date.now() > deadMs;
    await until(expired, { timeoutMs: 20_000, what: "the end of the first certificates" });
    for (const [at, name] of names.entries()) {
      assert.ok((await notAfterMs(name)) > (first[at] ?? 0), `${name} is renewed`);
    }
    for (const host of [stage.a, stage.b]) {
      assert.ok(
        (await host.metric("hostmesh_certificate_renewals_total", { result: "issued" })) > 3,
      );
      const failed = await host.metric("hostmesh_certificate_renewals_total", { result: "failed" });
      assert.equal(failed, 0);
    }
    await look();
  });

  test("the authority is replaced with no request failed, and the old one is worth nothing", async () => {
    const { mesh, a, b, outside, far } = stage;
    const thief = await Thief.start(outside.host.namespace);
    const shown = issue(authorityOf(mesh), spiffe("front"));
    const knock: Knock = { shown, name: spiffe("far"), place: webOf(far) };
    const { text, sessions } = await thief.knock(b, knock);
    const resume = { ...knock, tls: { session: sessions[0] } };
    assert.match(text, /"server":"far"/, "before");
    assert.equal((await thief.knock(b, resume)).reused, true, "before");
    const before = await anchors();
    const rotation = a.cli(["identity", "rotate-ca", "--timeout", "30s"]);
    assert.equal(await rotation.end(), 0, rotation.output);
    const [now, ...more] = await anchors();
    assert.deepEqual([before.length, more], [1, []]);
    assert.notEqual(now, before[0]);
    await mesh.settled();
    const isOver = async () => (await thief.knock(b, knock)).text === "";
    await until(isOver, { what: "the end of a certificate of the old authority" });
    for (const host of [a, b]) {
      const { text: dump = "" } = await host.http("http://127.0.0.1:15000/config_dump");
      assert.equal(JSON.parse(dump).identity.anchors, 1, host.name);
    }
    const resumed = await thief.knock(b, resume);
    assert.deepEqual([resumed.reused === true, resumed.text], [false, ""], "a ticket from before");
    const anew = { ...knock, shown: issue(authorityOf(mesh), spiffe("front")) };
    assert.match((await thief.knock(b, anew)).text, /"server":"far"/, "one of the new one");
    await look(true);
    assert.ok(tunnels !== undefined);
    tunnels.stop = true;
    const { ok, failed } = await tunnels.done;
    assert.deepEqual(failed, []);
    assert.ok(ok > 50, `${ok} tunnels`);
  });
});
