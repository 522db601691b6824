import assert from "node:assert/strict";
import { createServer } from "node:http";
import test from "node:test";
import { closeServer, listen } from "../../daemon/control-server.ts";
import { metricsServer, readyServer } from "../../daemon/metrics-server.ts";
import { probeDataPath } from "../../daemon/probe-data-path.ts";
import type { ReadinessDeps } from "../../daemon/readiness.ts";
import { readinessCheck } from "../../daemon/readiness.ts";
import { FakeClock } from "../../src/core/clock.ts";
import { until } from "../helpers/until.ts";
import { memoryLog } from "./fixtures.ts";

function deps(more: Partial<ReadinessDeps> = {}): ReadinessDeps {
  return {
    hasSnapshot: () => true,
    draining: () => false,
    ping: async () => [{}, {}],
    probe: async () => undefined,
    clock: new FakeClock(),
    ...more,
  };
}

test("is ready when a snapshot is there, every worker answers and a request passes", async () => {
  assert.deepEqual(await readinessCheck(deps())(), { ready: true, reasons: [] });
});

test("names every reason for not being ready", async () => {
  const check = readinessCheck(
    deps({
      hasSnapshot: () => false,
      draining: () => true,
      ping: async () => [{}, null],
      probe: () => Promise.reject(new Error("status 503")),
    }),
  );
  assert.deepEqual(await check(), {
    ready: false,
    reasons: [
      "draining",
      "no snapshot from the registry or from disk yet",
      "worker 1 gives no answer",
      "data path: status 503",
    ],
  });
});

test("keeps an answer for a second", async () => {
  const clock = new FakeClock();
  let probes = 0;
  const probe = async () => {
    probes++;
  };
  const check = readinessCheck(deps({ clock, probe }));
  await Promise.all([check(), check()]);
  clock.advance(999);
  await check();
  assert.equal(probes, 1);
  clock.advance(1);
  await check();
  assert.equal(probes, 2);
});

test("the probe sends an absolute-form request and takes 200 only", async (t) => {
  const seen: string[] = [];
  let status = 200;
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.host}`);
    response.writeHead(status).end("ok\n");
  });
  const port = await listen(server, "fake data path", "127.0.0.1", 0);
  t.after(() => closeServer(server));
  await probeDataPath("0.0.0.0", port, 1_000);
  assert.deepEqual(seen, ["GET http://hostmesh.internal/healthz hostmesh.internal"]);
  status = 503;
  await assert.rejects(probeDataPath("127.0.0.1", port, 1_000), /status 503/);
});

test("the probe gives up on a data path that accepts and says nothing", async (t) => {
  const server = createServer(() => undefined);
  const port = await listen(server, "mute data path", "127.0.0.1", 0);
  t.after(() => closeServer(server));
  await assert.rejects(probeDataPath("127.0.0.1", port, 50), /no answer in 50 ms/);
});

test("readiness and metrics are served over HTTP", async (t) => {
  let ready = false;
  const reasons = ["worker 0 gives no answer"];
  const readiness = readyServer(
    async () => ({ ready, reasons: ready ? [] : reasons }),
    memoryLog().log,
  );
  const metrics = metricsServer(
    {
      async *expose() {
        yield "hostmesh_up ";
        yield "1\n";
      },
    },
    memoryLog().log,
  );
  t.after(() => Promise.all([closeServer(readiness), closeServer(metrics)]));
  const readyPort = await listen(readiness, "readiness", "127.0.0.1", 0);
  const metricsPort = await listen(metrics, "metrics", "127.0.0.1", 0);
  const before = await fetch(`http://127.0.0.1:${readyPort}/healthz/ready`);
  assert.deepEqual([before.status, await before.json()], [503, { ready: false, reasons }]);
  ready = true;
  assert.equal((await fetch(`http://127.0.0.1:${readyPort}/healthz/ready`)).status, 200);
  const scraped = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
  assert.equal(scraped.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  assert.equal(await scraped.text(), "hostmesh_up 1\n");
});

test("a scrape is given in the format that is asked for, and nothing else is there", async (t) => {
  const asked: string[] = [];
  const metrics = metricsServer(
    {
      async *expose(format) {
        asked.push(format);
        yield `${format}\n`;
      },
    },
    memoryLog().log,
  );
  t.after(() => closeServer(metrics));
  const base = `http://127.0.0.1:${await listen(metrics, "metrics", "127.0.0.1", 0)}`;
  const accept = "application/openmetrics-text;version=1.0.0,text/plain;q=0.5";
  const scraped = await fetch(`${base}/metrics?x=1`, { headers: { accept } });
  assert.match(
    scraped.headers.get("content-type") ?? "",
    /^application\/openmetrics-text; version=1/,
  );
  assert.equal(await scraped.text(), "openmetrics\n");
  assert.equal((await fetch(`${base}/metrics`, { method: "HEAD" })).status, 200);
  assert.equal((await fetch(`${base}/metrics`, { method: "POST", body: "x" })).status, 405);
  assert.equal((await fetch(`${base}/`)).status, 404);
  assert.deepEqual(asked, ["openmetrics"]);
});

test("a scraper that goes in the middle ends its scrape, and one that fails is cut off", async (t) => {
  let pieces = 0;
  let over = false;
  const metrics = metricsServer(
    {
      async *expose(format) {
        if (format === "openmetrics") throw new Error("cannot be read");
        try {
          for (; pieces < 100_000; pieces += 1) yield "x".repeat(65_536);
        } finally {
          over = true;
        }
      },
    },
    memoryLog().log,
  );
  t.after(() => closeServer(metrics));
  const base = `http://127.0.0.1:${await listen(metrics, "metrics", "127.0.0.1", 0)}`;
  const scraped = await fetch(`${base}/metrics`);
  await scraped.body?.cancel();
  await until(() => over);
  assert.ok(pieces < 100_000);
  const accept = "application/openmetrics-text";
  await assert.rejects(fetch(`${base}/metrics`, { headers: { accept } }).then((r) => r.text()));
});
