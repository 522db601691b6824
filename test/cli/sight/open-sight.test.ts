import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import type { HostReport } from "../../../src/sight/host-report.ts";
import { fineBucket } from "../../../src/telemetry/buckets.ts";
import { type CliResult, runCliHere } from "../run.ts";
import { meshReport, service } from "./mesh-report.ts";
import { openPeer, type Peer } from "./peer.ts";

const NOBODY = "http://127.0.0.1:1";
const counts = {
  requests: 50,
  failures: 10,
  requestBytes: 1_000,
  responseBytes: 2_000,
  recent: 40,
  recentFailures: 10,
  recentBytes: 3_000,
  fine: [fineBucket(5), 40],
};
const ofHost: HostReport = {
  host: "node-a",
  zone: "",
  version: "0.1.0",
  atMs: 1_000,
  uptimeMs: 5_000,
  revision: 7,
  windowMs: 10_000,
  flows: [
    {
      ...counts,
      source: "default/front",
      destination: "default/catalog",
      entry: "captured",
      protocol: "http",
      security: "same_host",
      reporter: "both",
      inFlight: 2,
      errors: {},
    },
  ],
  routes: [],
  endpoints: [],
  workloads: [],
  workers: [],
  capture: { mode: "tproxy", active: true },
  certificates: [],
  recentErrors: [],
};

let registry: Peer;
let daemon: Peer;
before(async () => {
  [registry, daemon] = await Promise.all([openPeer(), openPeer()]);
});
beforeEach(() => {
  registry.answers.clear();
  daemon.answers.clear();
  daemon.answers.set("/sight/report", [200, ofHost]);
  const report = meshReport({ services: [service("default/of-the-mesh")] });
  registry.answers.set("/v1/mesh/sight/report", [200, report]);
  registry.answers.set("/v1/mesh/sight/hosts/node-a/report", [200, ofHost]);
});
after(() => {
  registry.close();
  daemon.close();
});

function stat(...args: string[]): Promise<CliResult> {
  return runCliHere(["stat", ...args]);
}

/** This host's daemon is the one that the settings' port leads to. */
function here(): string[] {
  return ["--set", `ports.admin=${new URL(daemon.url).port}`];
}

describe("who is asked", () => {
  it("is the registry, for the whole mesh", async () => {
    const { stdout, stderr } = await stat("--registry", registry.url, ...here());
    assert.match(stdout, /^of-the-mesh /m);
    assert.equal(stderr, "");
  });

  it("is one daemon with --admin, whose counts become figures here", async () => {
    const { code, stdout } = await stat("--admin", daemon.url);
    assert.equal(code, 0);
    assert.match(stdout, /^catalog +75\.0 % +4\.0 +4\.9 ms .* 2$/m);
    assert.match(stdout, /seen by 1 host\.$/m);
  });

  it("is the registry for one host's figures with --host", async () => {
    const { stdout } = await stat("--registry", registry.url, "--host", "node-a");
    assert.match(stdout, /^catalog +75\.0 % /m);
    const unknown = await stat("--registry", registry.url, "--host", "node/z");
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /no report of host node\/z: .*\nhint: hostmesh proxy-status/);
  });

  it("is this host's daemon where no registry can be reached, and that is said", async () => {
    const { code, stdout, stderr } = await stat("--registry", NOBODY, ...here());
    assert.equal(code, 0);
    assert.match(stdout, /^catalog /m);
    assert.match(
      stderr,
      /^note: cannot reach the registry .*: showing what the daemon at .* saw\n$/,
    );
    const other = await stat("--registry", NOBODY, ...here(), "--host", "node-b");
    assert.match(other.stderr, /is that of host node-a, not of node-b\nhint: .*--registry/);
  });

  it("is this host's daemon where the registry is older, or does not let this caller see", async () => {
    for (const [status, error] of [
      [404, "there is nothing at this path"],
      [403, "only operators may do this"],
    ] as const) {
      registry.answers.set("/v1/mesh/sight/report", [status, { error }]);
      const { code, stderr } = await stat("--registry", registry.url, ...here());
      assert.equal(code, 0);
      assert.match(stderr, new RegExp(`^note: the registry gives no report \\(${error}\\): `));
    }
  });

  it("fails with both reasons where nobody can be asked", async () => {
    const { code, stdout, stderr } = await stat("--registry", NOBODY, "--set", "ports.admin=1");
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(
      stderr,
      /cannot reach the registry .*; and cannot reach the daemon .*\nhint: .*hostmesh up/,
    );
  });

  it("is told when the answer makes no sense", async () => {
    for (const body of ["hello", null, [], {}, { hosts: 5 }, { ...meshReport(), services: [{}] }]) {
      registry.answers.set("/v1/mesh/sight/report", [200, body]);
      const { code, stdout } = await stat("--registry", registry.url, "--set", "ports.admin=1");
      assert.deepEqual([code, stdout], [1, ""], JSON.stringify(body));
      daemon.answers.set("/sight/report", [200, body]);
      const one = await stat("--admin", daemon.url);
      assert.deepEqual([one.code, one.stdout], [1, ""]);
      assert.match(one.stderr, /not what this version of hostmesh understands/);
    }
  });

  it("is not replaced when the registry is ill: its own words are shown", async () => {
    registry.answers.set("/v1/mesh/sight/report", [500, { error: "out of disk" }]);
    const { code, stderr } = await stat("--registry", registry.url, ...here());
    assert.equal(code, 1);
    assert.match(stderr, /the registry refused GET .*: 500 out of disk/);
  });
});
