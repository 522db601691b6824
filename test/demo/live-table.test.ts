import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { demoFrame, demoLines } from "../../daemon/demo/demo-frame.ts";
import { liveTable } from "../../daemon/demo/live-table.ts";
import type { StatView } from "../../daemon/demo/stat-view.ts";
import { until } from "../helpers/until.ts";

const ESC = "\u001b";

const stats: StatView = {
  host: "here",
  version: "0.1.0",
  uptimeMs: 12_000,
  revision: 9,
  windowMs: 10_000,
  idleServices: 0,
  passthrough: { requests: 0, rps: 0 },
  unrouted: { requests: 0, rps: 0 },
  workers: [
    { id: 0, alive: true, restarts: 0 },
    { id: 1, alive: false, restarts: 1 },
  ],
  services: [
    {
      service: "default/catalog",
      requests: 500,
      rps: 49.96,
      success: 0.9995,
      p50Ms: 9.8,
      p95Ms: 50,
      p99Ms: 105,
      inFlight: 2,
      retries: 3,
      ejections: 1,
      errors: {},
      endpoints: [endpoint("catalog-steady", 0.75, false), endpoint("catalog-flaky", 0.25, true)],
    },
  ],
};

function endpoint(name: string, share: number, ejected: boolean) {
  return {
    id: `here/hmdemo-${name}`,
    address: "198.18.77.3",
    port: 80,
    host: "here",
    health: "passing" as const,
    weight: 1,
    requests: 100,
    failures: ejected ? 20 : 0,
    p50Ms: 9,
    p99Ms: 20,
    share,
    ejected,
    inFlight: 1,
    connections: 1,
    latencyEwmaMs: 9.5,
  };
}

describe("live table", () => {
  it("draws in place on a terminal: each picture begins where the one before began", async () => {
    const written: string[] = [];
    const stop = new AbortController();
    let readings = 0;
    const shown = liveTable({
      read() {
        readings += 1;
        return Promise.resolve(readings);
      },
      frame: (reading) => [`reading ${reading}`, "second line"],
      lines: () => [],
      footer: "Ctrl-C ends.",
      output: { isTTY: true, columns: 80, rows: 24, write: (text: string) => written.push(text) },
      color: false,
      signal: stop.signal,
      intervalMs: 1,
    });
    await until(() => written.length >= 2);
    stop.abort();
    await shown;
    assert.equal(written[0], `${ESC}[0Jreading 1\nsecond line\n\nCtrl-C ends.\n`);
    assert.equal(written[1], `${ESC}[4A\r${ESC}[0Jreading 2\nsecond line\n\nCtrl-C ends.\n`);
  });

  it("never draws more lines than the window has", async () => {
    const written: string[] = [];
    const stop = new AbortController();
    await liveTable({
      read: () => Promise.resolve(null),
      frame: () => Array.from({ length: 50 }, (_, at) => `line ${at}`),
      lines: () => [],
      output: {
        isTTY: true,
        columns: 80,
        rows: 10,
        write(text: string) {
          written.push(text);
          stop.abort();
        },
      },
      color: false,
      signal: stop.signal,
    });
    assert.equal(written[0]?.split("\n").length, 10);
    assert.match(written[0] ?? "", /window too low/);
  });

  it("writes plain lines without any control sequence to a pipe", async () => {
    const written: string[] = [];
    const stop = new AbortController();
    await liveTable({
      read: () => Promise.resolve(stats),
      frame: demoFrame,
      lines: demoLines,
      output: {
        write(text: string) {
          written.push(text);
          stop.abort();
        },
      },
      color: false,
      signal: stop.signal,
    });
    assert.ok(!written.join("").includes(ESC));
    assert.match(
      written.join(""),
      /catalog .*50\.0 rps .*share: catalog-steady 75\.0 %, catalog-flaky/,
    );
  });

  it("says what is wrong and goes on when the figures cannot be read", async () => {
    const written: string[] = [];
    const stop = new AbortController();
    let readings = 0;
    const shown = liveTable({
      read() {
        readings += 1;
        return readings === 1 ? Promise.reject(new Error("daemon away")) : Promise.resolve(1);
      },
      frame: () => [],
      lines: () => ["figures"],
      output: { write: (text: string) => written.push(text) },
      color: false,
      signal: stop.signal,
      plainIntervalMs: 1,
    });
    await until(() => written.length >= 2);
    stop.abort();
    await shown;
    assert.deepEqual(written.slice(0, 2), [
      "no figures at this moment: daemon away\n",
      "figures\n",
    ]);
  });
});

describe("picture of the demo", () => {
  it("shows services, and below them the share of each endpoint and what it is", () => {
    const lines = demoFrame(stats, { width: 120, color: false });
    assert.match(lines[0] ?? "", /^50\.0 requests\/s through one daemon with 1 workers/);
    const text = lines.join("\n");
    assert.match(text, /^catalog +>99\.9 % +50\.0 +9\.8 ms +105 ms +2 +retries 3$/m);
    assert.match(text, /^ {2}catalog-steady +100 % +9\.0 ms +20\.0 ms +1 +75\.0 % +answers in/m);
    assert.match(text, /^ {2}catalog-flaky +80\.0 % .* 25\.0 % +ejected$/m);
  });

  it("fits a narrow terminal", () => {
    for (const line of demoFrame(stats, { width: 50, color: false })) {
      assert.ok([...line].length <= 50, line);
    }
  });
});
