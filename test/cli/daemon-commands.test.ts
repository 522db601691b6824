import assert from "node:assert/strict";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { parse } from "yaml";
import { runCliHere } from "./run.ts";

/** A daemon's admin API and a registry, as far as the commands read them. */
const traffic = {
  requests: 90,
  rps: 9.5,
  success: 0.98,
  p50Ms: 1.5,
  p95Ms: 8,
  p99Ms: 12,
  inFlight: 1,
};
const volume = { requests: 0, rps: 0, requestBytes: 0, responseBytes: 0 };
const endpoint = {
  id: "here/catalog-1",
  address: "10.0.0.7",
  port: 8080,
  host: "here",
  health: "passing",
  weight: 1,
  requests: 90,
  failures: 2,
  p50Ms: 1.5,
  p99Ms: 12,
  share: 1,
  ejected: true,
  inFlight: 1,
  connections: 2,
  latencyEwmaMs: 1.75,
};
const stats = {
  host: "here",
  version: "0.1.0",
  uptimeMs: 5_000,
  revision: 7,
  windowMs: 10_000,
  services: [
    {
      service: "default/catalog",
      ...traffic,
      retries: 4,
      ejections: 0,
      errors: {},
      endpoints: [endpoint],
    },
    { service: "shop/catalog", ...traffic, retries: 0, ejections: 0, errors: {}, endpoints: [] },
  ],
  idleServices: 3,
  sources: [],
  passthrough: { ...volume, requests: 5 },
  unrouted: volume,
  workers: [{ id: 0, alive: true, restarts: 0 }],
};
const dump = {
  revision: 7,
  capture: { mode: "tproxy", active: true },
  registry: { connected: true, url: "http://there", revision: 7, ageMs: 42, lastError: null },
  identity: { mode: "off", host: null, workloads: [] },
  settings: { host: "here", capture: { mode: "auto" } },
  snapshot: { services: ["catalog"] },
};
const state = { mode: "tproxy", ready: true, workerAlive: true, refusal: null as null | object };

function answers(): Record<string, [status: number, body: unknown]> {
  const workers = [{ id: 0, alive: state.workerAlive, restarts: 0 }];
  const reasons = state.ready ? [] : ["worker 0 gives no answer"];
  return {
    "/healthz": [200, "ok"],
    "/ready": [state.ready ? 200 : 503, { ready: state.ready, reasons }],
    "/stats": [200, { ...stats, workers }],
    "/config_dump": [
      200,
      {
        ...dump,
        capture: { mode: state.mode, active: state.ready },
        registry: { ...dump.registry, connected: state.ready, lastError: "refused" },
      },
    ],
    "/v1/mesh/status": [
      200,
      {
        revision: 7,
        services: 1,
        endpoints: 2,
        daemons: [{ host: "here", revision: 7, silentMs: 1, refusal: state.refusal }],
      },
    ],
    "/v1/mesh/services": [
      200,
      [
        {
          name: "catalog",
          namespace: "default",
          addresses: [],
          balancer: { policy: "peak-ewma" },
          endpoints: { passing: 1, warning: 0, critical: 1 },
        },
      ],
    ],
    "/v1/mesh/endpoints": [
      200,
      [
        {
          ...endpoint,
          id: "here/catalog-2",
          service: "catalog",
          namespace: "default",
          health: "critical",
          checks: [{ id: "c", status: "critical", output: "connection refused" }],
        },
      ],
    ],
  };
}

let server: Server;
let url = "";
before(async () => {
  server = createServer((request, response) => {
    const path = new URL(request.url ?? "", "http://x").pathname;
    const [status, body] = answers()[path] ?? [404, { error: "no such path" }];
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

describe("config dump", () => {
  it("prints what the daemon runs with, as YAML unless told otherwise", async () => {
    const yaml = await runCliHere(["config", "dump", "--admin", url]);
    const { settings, snapshot, revision } = parse(yaml.stdout);
    assert.deepEqual([revision, settings, snapshot], [7, dump.settings, dump.snapshot]);
    const table = await runCliHere(["config", "dump", "--admin", url, "-o", "table"]);
    assert.match(table.stdout, /^settings\.host +here$/m);
  });
});

describe("check", () => {
  const args = () => [
    ..."check --host here --capture explicit --admin".split(" "),
    url,
    "--registry",
    url,
  ];

  it("groups what it found, and a warning alone is no failure", async () => {
    const { code, stdout, stderr } = await runCliHere(args());
    assert.equal(code, 0, stdout + stderr);
    for (const title of ["registry", "daemon", "host", "capture", "services"]) {
      assert.match(stdout, new RegExp(`^${title}$`, "m"));
    }
    assert.match(stdout, /^ {2}ok +the daemon of host here is connected and has revision 7$/m);
    assert.match(
      stdout,
      /^ {2}ok +connected to http:\/\/there: revision 7, confirmed 42\.0 ms ago$/m,
    );
    assert.match(stdout, /^ {2}ok +captures by tproxy$/m);
    assert.match(stdout, /^ {2}ok +ready: a request through the data path was answered$/m);
    assert.match(
      stdout,
      /^ {2}warning +default\/catalog: 1 of 2 endpoints healthy\n +-> Look at here\/catalog-2: connection refused$/m,
    );
    assert.match(stdout, /^No failure: \d+ ok, 1 warning, 0 failure/m);
  });

  it("exits with 3 and a remedy for each failure", async () => {
    Object.assign(state, {
      ready: false,
      workerAlive: false,
      refusal: { revision: 8, reason: "service x: bad address" },
    });
    try {
      const { code, stdout } = await runCliHere(args());
      assert.equal(code, 3);
      assert.match(stdout, /failure +the daemon refused revision 8: service x: bad address\n +-> /);
      assert.match(stdout, /failure +not ready: worker 0 gives no answer\n +-> /);
      assert.match(stdout, /warning +not connected to a registry \(refused\): serves revision 7/);
      assert.match(stdout, /failure +does not capture, although the mode is tproxy\n +-> /);
      assert.match(stdout, /failure +0 of 1 workers alive\n +-> /);
      assert.match(stdout, /^Something is wrong: /m);
    } finally {
      Object.assign(state, { ready: true, workerAlive: true, refusal: null });
    }
  });

  it("expects what the running daemon does, not what these defaults would", async () => {
    state.mode = "explicit";
    try {
      const args = ["check", "--host", "here", "--admin", url, "--registry", url];
      const { code, stdout } = await runCliHere(args);
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^ {2}ok +captures nothing: explicit proxy only$/m);
      assert.match(stdout, /^ {2}skipped +not used: the mode is explicit/m);
    } finally {
      state.mode = "tproxy";
    }
  });

  it("knows who sits on the ports while no daemon runs", async (test) => {
    if (process.platform !== "linux") return test.skip("only Linux tells who listens where");
    const port = new URL(url).port;
    const nobody = "http://127.0.0.1:1";
    const { code, stdout } = await runCliHere([
      ...`check --capture explicit --set ports.explicit=${port} --admin ${nobody}`.split(" "),
      ...["--registry", nobody, "-o", "json"],
    ]);
    assert.equal(code, 3);
    const findings = JSON.parse(stdout).flatMap(
      (group: { findings: { text: string; remedy?: string }[] }) => group.findings,
    );
    const taken = findings.find((each: { text: string }) => each.text.startsWith(`port ${port} `));
    assert.match(taken.text, new RegExp(`\\(process ${process.pid}\\)$`));
    assert.match(taken.remedy, /--set ports\.explicit=PORT/);
    assert.ok(
      findings.every((each: { verdict: string; remedy?: string }) =>
        ["ok", "skipped"].includes(each.verdict) ? true : (each.remedy ?? "") !== "",
      ),
    );
  });
});
