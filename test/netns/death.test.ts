import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../helpers/until.ts";
import { footprint } from "./helpers/capture.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { skipReason } from "./helpers/privilege.ts";
import type { HttpAnswer, LoadReport, TcpAnswer } from "./helpers/reports.ts";

/** What the issue promises; the dead-man entry lives for 5 s by default. */
const PROMISED_MS = 10_000;
/** A client that is refused "at once" must not have waited for a retransmission (1 s). */
const AT_ONCE_MS = 500;

/** Source ports outside the range from which the kernel chooses. */
const SOURCE_PORTS = { 4: 20_004, 6: 20_006 } as const;
/** The server closes after it, and the client only then: TIME_WAIT is on the server's side. */
const LAST_REQUEST = "GET / HTTP/1.1\r\nHost: back\r\nConnection: close\r\n\r\n";
const NEVER = "\0";

interface Stage {
  readonly mesh: Mesh;
  readonly host: MeshHost;
  readonly front: MeshContainer;
  readonly back: MeshContainer;
  readonly excluded: MeshContainer;
  /** The server by its addresses. Only the first one is registered as an endpoint. */
  readonly url: string;
  readonly url6: string;
  /** Rules, sets and routes before any daemon. */
  readonly bare: string;
}

type Mode = "tproxy" | "redirect";

async function makeStage(mode: Mode): Promise<Stage> {
  const mesh = await Mesh.create();
  try {
    const veth = mode === "tproxy" ? "unnumbered" : "numbered";
    const host = await mesh.host("a", { veth });
    const [front, back, excluded] = [
      await host.container("front", { address4: "10.1.0.2", address6: "fd00:1::2" }),
      await host.container("back", { address4: "10.1.0.3", address6: "fd00:1::3" }),
      await host.container("excluded", { address4: "10.9.0.2" }),
    ];
    await Promise.all([back.app(), excluded.app(), mesh.startRegistry(host)]);
    await mesh.apply({
      endpoints: [host.endpoint("back", "back", back)],
      workloads: [front, back, excluded].map(({ workload }) => workload),
    });
    const url = `http://${back.container.address4}:8080/`;
    const url6 = `http://[${back.container.address6}]:8080/`;
    const bare = await footprint(host.host.namespace);
    return { mesh, host, front, back, excluded, url, url6, bare };
  } catch (error) {
    await mesh.destroy();
    throw error;
  }
}

/** How an exchange went: by the proxy, directly, or not. */
function way({ status, text = "", error }: HttpAnswer): string {
  if (status !== 200) return error ?? `status ${status}`;
  return JSON.parse(text).headers.via === undefined ? "direct" : "by proxy";
}

function remoteOf({ text = "" }: HttpAnswer): string {
  return JSON.parse(text).remote;
}

function lastAnswer(from: MeshContainer, address: string, localPort: number): Promise<TcpAnswer> {
  return from.tcp(address, 8_080, { localPort, send: LAST_REQUEST, expect: NEVER });
}

interface Ended {
  /** `local peer`. */
  readonly socket: string;
  /** Was it made for a container's connection? Else it is one of the host itself. */
  readonly captured: boolean;
  readonly leftS: number;
}

/** Sockets of the host in TIME_WAIT. */
async function endedSockets({ host }: MeshHost): Promise<Ended[]> {
  const text = await host.namespace.exec("ss", ["-Htno", "state", "time-wait"]);
  const lines = text.split("\n").filter((line) => line !== "");
  return lines.map((line) => {
    const [, , local = "", peer = "", timer = ""] = line.trim().split(/\s+/);
    const captured = /^\[?(::ffff:)?(10\.1\.0\.[23]|fd00:1::[23])\]?:/.test(local);
    const leftS = Number(/timewait,(\d+)sec/.exec(timer)?.[1] ?? 0);
    return { socket: `${local} ${peer}`, captured, leftS };
  });
}

// The two stages have nothing in common, and most of their time is waiting for a dead-man.
describe("life and death of a daemon", { skip: skipReason(), concurrency: true }, () => {
  for (const mode of ["tproxy", "redirect"] as const) {
    describe(`capture by ${mode}`, { concurrency: 1 }, () => {
      let stage: Stage;
      before(async () => {
        stage = await makeStage(mode);
      });
      after(() => stage?.mesh.destroy());

      async function startDaemon(onDeath: "open" | "closed"): Promise<void> {
        const { host, front, back } = stage;
        const set = ["capture.excludePorts=7001", "capture.excludeSubnets=10.9.0.0/24"];
        await host.startDaemon({ capture: mode, onDeath, set });
        await host.untilCaptured(front, back);
      }

      async function stopDaemon(): Promise<void> {
        const { host, bare } = stage;
        assert.equal(await host.daemon.end("SIGTERM"), 0, host.daemon.output);
        assert.equal(await footprint(host.host.namespace), bare);
      }

      /** New connections, one every quarter of a second, until one goes as wanted. */
      async function waitFor(wanted: string): Promise<{ afterMs: number; answer: HttpAnswer }> {
        const start = performance.now();
        for (;;) {
          const answer = await stage.front.http(stage.url, { timeoutMs: 700 });
          const afterMs = performance.now() - start;
          if (way(answer) === wanted) return { afterMs, answer };
          if (afterMs > PROMISED_MS) throw new Error(`${way(answer)} is still the way of things`);
          await sleep(100);
        }
      }

      test("installation leaves a flow that is established alone and takes new ones", async () => {
        const { front, back, url } = stage;
        assert.deepEqual(await front.hold("old", back.container.address4, 7_002), {});
        assert.deepEqual(await front.echo("old", "before"), { text: "before" });
        await startDaemon("open");
        assert.deepEqual(await front.echo("old", "after"), { text: "after" });
        assert.equal(way(await front.http(url)), "by proxy");
        const six = await front.http(stage.url6);
        // No endpoint has this address, but a workload of this host: requests to it are treated as such, for its identity headers.
        assert.equal(way(six), "by proxy");
        assert.notEqual(remoteOf(six), front.container.address6);
      });

      test("the host, its probes, and what is excluded are left alone in both directions", async () => {
        const { host, front, back, excluded, mesh, url } = stage;
        await host.untilMetric("hostmesh_requests_total", {}, 2);
        const probe = await host.http(url);
        assert.equal(way(probe), "direct", "a kubelet's probe");
        const gateway = mode === "tproxy" ? host.host.address4 : "10.1.0.1";
        assert.equal(remoteOf(probe), gateway);
        const toHost = `http://${host.host.address4}:15010/v1/mesh/status`;
        assert.equal((await front.http(toHost)).headers?.["via"], undefined, "a port of the host");
        assert.equal((await host.http(`${mesh.registryUrl(host)}/v1/mesh/status`)).status, 200);
        const towards = await front.http(`http://${excluded.container.address4}:8080/`);
        assert.deepEqual([way(towards), remoteOf(towards)], ["direct", front.container.address4]);
        const from = await excluded.http(url);
        assert.deepEqual([way(from), remoteOf(from)], ["direct", excluded.container.address4]);
        const greeting = await front.tcp(back.container.address4, 7_001, { expect: "\r\n" });
        assert.equal(greeting.text, "220 back\r\n", "an excluded port");
        const counted = await host.metric("hostmesh_requests_total");
        assert.equal(counted, 2, "the daemon has seen nothing of all this");
      });

      test("SIGTERM removes every rule, set and route", async () => {
        await stopDaemon();
        assert.equal(way(await stage.front.http(stage.url)), "direct");
        assert.deepEqual(await stage.front.echo("old", "still here"), { text: "still here" });
      });

      test("a start and an orderly stop fail no request, not even on kept connections", async (t) => {
        const { front, host, url } = stage;
        const fresh = await front.load(url, 4, 4, "fresh");
        await startDaemon("open");
        // Begun later, so that its connections are captured.
        const kept = await front.load(url, 4, 4, "kept");
        await sleep(500);
        await stopDaemon();
        await sleep(300);
        for (const load of [fresh, kept]) {
          const { ok, failures, maxMs } = await load.ask<LoadReport>({ stop: true });
          await load.end("SIGKILL");
          t.diagnostic(`${mode}: ${ok} requests, slowest ${maxMs} ms`);
          assert.deepEqual(failures, {}, host.daemon.output);
          assert.ok(ok > 100);
        }
      });

      test("SIGKILL of the guardian alone fails no new connection", async (t: TestContext) => {
        const { front, host, url } = stage;
        await startDaemon("open");
        const load = await front.load(url, 4, 4, "fresh");
        await sleep(200);
        const [generation] = host.daemon.children;
        await host.daemon.end("SIGKILL");
        assert.equal(way(await front.http(url)), "by proxy", "the generation serves on");
        const { afterMs } = await waitFor("direct");
        await until(() => !existsSync(`/proc/${generation}`), {
          timeoutMs: 10_000,
          what: "the end of the orphaned generation",
        });
        const { ok, failures, maxMs } = await load.ask<LoadReport>({ stop: true });
        await load.end("SIGKILL");
        t.diagnostic(
          `${mode}: direct ${afterMs.toFixed(0)} ms after the kill; ${ok} connections meanwhile, slowest ${maxMs} ms`,
        );
        assert.deepEqual(failures, {});
      });

      test("SIGKILL with --on-death open: containers talk directly", async (t: TestContext) => {
        const { host, front, url } = stage;
        await startDaemon("open");
        assert.equal(way(await front.http(url)), "by proxy");
        await host.daemon.killTree();
        const { afterMs, answer } = await waitFor("direct");
        t.diagnostic(`${mode}: direct ${afterMs.toFixed(0)} ms after the kill`);
        assert.ok(afterMs < PROMISED_MS);
        assert.equal(remoteOf(answer), front.container.address4);
        assert.equal((await front.echo("old", "direct")).text, "direct");
        const six = await front.http(stage.url6);
        assert.deepEqual([way(six), remoteOf(six)], ["direct", front.container.address6]);
      });

      test("the next daemon captures again; with --on-death closed SIGKILL means refusal", async (t) => {
        const { host, front, back, excluded, url } = stage;
        await startDaemon("closed");
        assert.equal(way(await front.http(url)), "by proxy");
        await host.daemon.killTree();
        const { afterMs } = await waitFor("ECONNREFUSED");
        await sleep(Math.max(0, 5_500 - afterMs));
        const places = [url, stage.url6, "http://203.0.113.7/"];
        const answers = await Promise.all(places.map((place) => front.http(place)));
        const waited = answers.map(({ sentMs, doneMs }) => doneMs - sentMs);
        t.diagnostic(
          `${mode}: refused ${afterMs.toFixed(0)} ms after the kill, then each within ${Math.max(...waited).toFixed(1)} ms`,
        );
        assert.deepEqual(answers.map(way), Array(3).fill("ECONNREFUSED"));
        assert.ok(Math.max(...waited) < AT_ONCE_MS);
        assert.deepEqual(await front.echo("old", "established"), { text: "established" });
        assert.equal(way(await host.http(url)), "direct", "the host still reaches its containers");
        assert.equal(way(await excluded.http(url)), "direct", "what is excluded is never refused");
        const greeting = await front.tcp(back.container.address4, 7_001, { expect: "\r\n" });
        assert.equal(greeting.text, "220 back\r\n");
      });

      test("a daemon that comes back after that captures, and leaves nothing at its end", async () => {
        await startDaemon("closed");
        assert.equal(way(await stage.front.http(stage.url)), "by proxy");
        await stopDaemon();
        assert.equal(way(await stage.front.http(stage.url)), "direct");
      });

      test("a source port that was captured a moment ago is direct at once after an orderly stop", async () => {
        const { host, front, back } = stage;
        const { address4, address6 } = back.container;
        const answers = () =>
          Promise.all([
            lastAnswer(front, address4, SOURCE_PORTS[4]),
            lastAnswer(front, address6 ?? "", SOURCE_PORTS[6]),
          ]);
        await startDaemon("closed");
        const captured = await answers();
        assert.match(captured[0].text, /^via: /im);
        const before = await endedSockets(host);
        if (mode === "tproxy") assert.ok(before.some((one) => one.captured));
        await stopDaemon();
        const after = await endedSockets(host);
        assert.deepEqual(
          after.filter((one) => one.captured),
          [],
        );
        const still = new Set(after.map((one) => one.socket));
        const gone = before.filter(
          (one) => !one.captured && one.leftS > 30 && !still.has(one.socket),
        );
        assert.deepEqual(gone, [], "the host's own are left alone");
        for (const { text, ms, error } of await answers()) {
          assert.equal(error, undefined);
          assert.match(text, /^HTTP\/1.1 200 /);
          assert.doesNotMatch(text, /^via: /im);
          assert.ok(ms < AT_ONCE_MS, `${ms} ms`);
        }
      });
    });
  }
});
