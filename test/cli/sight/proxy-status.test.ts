import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type CliResult, runCliHere } from "../run.ts";
import { host, meshReport } from "./mesh-report.ts";
import { openPeer, type Peer } from "./peer.ts";

const HOUR_MS = 3_600_000;
const atMs = 1_000_000_000_000;
const certificate = (state: "valid" | "expired", leftMs: number) => ({
  ...{ identity: "spiffe://x/ns/a/sa/b", state, notAfterMs: atMs + leftMs },
});
const workers = [
  { id: 0, alive: true, restarts: 0 },
  { id: 1, alive: false, restarts: 3 },
];
const report = meshReport({
  atMs,
  hosts: [
    host("node-a", {
      certificates: [certificate("valid", 23 * HOUR_MS), certificate("valid", 2 * HOUR_MS)],
    }),
    host("node-b", {
      revision: 38,
      refusal: { revision: 39, reason: "service x: bad address" },
      capture: { mode: "tproxy", active: false },
      certificates: [certificate("expired", -HOUR_MS)],
      workers,
    }),
    host("node-c", { state: "gone", revision: null, capture: null, workers: [] }),
    host("node-d", { revision: 40, capture: { mode: "explicit", active: false } }),
  ],
});

let one: Peer;
let other: Peer;
before(async () => {
  [one, other] = await Promise.all([openPeer(), openPeer()]);
  one.answers.set("/v1/mesh/sight/report", [200, report]);
  one.answers.set("/v1/mesh/status", [
    200,
    {
      daemons: [
        { host: "node-a", connectedMs: 7_500_000, silentMs: 9_000 },
        { host: "node-b", connectedMs: 65_000, silentMs: 10 },
      ],
    },
  ]);
  other.answers.set("/v1/mesh/status", [
    200,
    {
      daemons: [
        { host: "node-a", connectedMs: 1_000, silentMs: 10 },
        { host: "node-d", connectedMs: 86_400_000, silentMs: 10 },
      ],
    },
  ]);
});
after(() => {
  one.close();
  other.close();
});

function status(...args: string[]): Promise<CliResult> {
  return runCliHere(["proxy-status", ...args, "--registry", `${one.url},${other.url}`]);
}

describe("proxy-status", () => {
  it("has a line for each daemon of all registries", async () => {
    const { code, stdout, stderr } = await status();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(
      stdout,
      /^HOST +VERSION +STATE +REVISION +CAPTURE +WORKERS +CERTIFICATE +CONNECTED$/m,
    );
    assert.match(stdout, /^node-a +0\.1\.0 +reporting +41 +tproxy +1\/1 +2h +1s$/m);
    assert.match(
      stdout,
      /^node-b +0\.1\.0 +reporting +38 \(-3\) +tproxy: off +1\/2 +expired 1h +1m5s$/m,
    );
    assert.match(stdout, /^node-c +0\.1\.0 +gone +- +- +- +none +-$/m);
    assert.match(stdout, /^node-d .* 40 \(-1\) +explicit +1\/1 +none +1d$/m);
  });

  it("says what is wrong with each, and what to do", async () => {
    const { stdout } = await status();
    assert.match(stdout, /^node-b refused revision 39: service x: bad address\. Correct/m);
    assert.match(stdout, /^node-b captures nothing; see why there: hostmesh check\.$/m);
    assert.match(stdout, /^node-b: only 1 of 2 workers are alive; /m);
    assert.match(stdout, /^node-b: 1 certificate is not valid; /m);
    assert.match(stdout, /^node-c: no daemon is connected; start it there: hostmesh daemon\.$/m);
    assert.match(stdout, /^node-d is 1 behind; /m);
    assert.doesNotMatch(stdout, /^node-a\b.*;/m);
    assert.match((await status("-o", "wide")).stdout, / 3 +zone-1 +39: service x: bad address$/m);
  });

  it("gives the same to programs", async () => {
    const { daemons, revision } = JSON.parse((await status("-o", "json")).stdout);
    assert.equal(revision, 41);
    const [, second] = daemons;
    assert.deepEqual(
      [second.behind, second.workers, second.firstExpiryMs, second.badCertificates],
      [3, { alive: 1, all: 2, restarts: 3 }, atMs - HOUR_MS, 1],
    );
    assert.equal(daemons[3].connectedMs, 86_400_000);
  });

  it("fits the terminal", async () => {
    const { stdout } = await runCliHere(["proxy-status", "--registry", one.url], 80);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
  });
});
