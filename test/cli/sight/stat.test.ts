import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type CliResult, runCliHere } from "../run.ts";
import { edge, endpoint, host, meshReport, NOTHING, route, SOME, service } from "./mesh-report.ts";
import { openPeer, type Peer } from "./peer.ts";

const REPORT = "/v1/mesh/sight/report";
const catalog = service("default/catalog", {
  errors: { CONNECT_FAILED: 2, NO_ENDPOINT: 7 },
  retries: 17,
  endpoints: [
    endpoint("node-a/catalog-1", { share: 0.75, p99Ms: 9 }),
    endpoint("node-b/catalog-2", {
      share: 0.25,
      p99Ms: 120,
      ejectedBy: ["node-a", "node-b"],
      health: "critical",
    }),
  ],
});
const report = meshReport({
  services: [
    catalog,
    service("default/idle", { ...NOTHING, inFlight: 0 }),
    service("none", { requests: 3 }),
    service("passthrough", { requests: 5 }),
    service("shop/catalog", { ...SOME, success: 0.5, p99Ms: 900, rps: 2 }),
  ],
  sources: [{ source: "default/front", ...SOME, inFlight: 1 }],
  edges: [
    edge("default/front", "default/catalog"),
    edge("default/front", "shop/catalog", { protocol: "tcp" }),
    edge("shop/job", "default/catalog"),
  ],
  routes: [route("default/front", "default/catalog", "canary")],
  hosts: [host("node-a"), host("node-b"), host("node-c", { state: "silent" })],
});

let registry: Peer;
before(async () => {
  registry = await openPeer();
  registry.answers.set(REPORT, [200, report]);
});
after(() => registry.close());

function stat(...args: string[]): Promise<CliResult> {
  return runCliHere(["stat", ...args, "--registry", registry.url]);
}

/** First words of the lines of the table. */
function names({ stdout }: CliResult): string[] {
  const [table = ""] = stdout.split("\n\n");
  return table
    .split("\n")
    .slice(1)
    .flatMap((line) => line.match(/^\S+/)?.[0] ?? []);
}

describe("stat", () => {
  it("shows a line per service of the whole mesh, what belongs to none, and whose figures are missing", async () => {
    const { code, stdout, stderr } = await stat();
    assert.deepEqual([code, stderr], [0, ""]);
    assert.match(stdout, /^SERVICE +SUCCESS +RPS +P50 +P95 +P99 +BYTES\/S +IN-FLIGHT$/m);
    assert.match(stdout, /^catalog +98\.0 % +9\.5 +1\.5 ms +8\.0 ms +12\.0 ms +93 KiB +1$/m);
    assert.match(stdout, /^catalog\.shop /m);
    assert.match(stdout, /^idle +- +0\.0 +- /m);
    assert.doesNotMatch(stdout, /^(passthrough|none) /m);
    assert.match(stdout, /5 connections went to destinations outside/);
    assert.match(stdout, /3 requests named no service/);
    assert.match(stdout, /of the last 10 s, seen by 2 of 3 hosts\.\nMissing: node-c \(silent\)/);
  });

  it("shows the endpoints of one service, and which hosts ejected them", async () => {
    const { stdout } = await stat("catalog");
    assert.match(
      stdout,
      /^ENDPOINT +ADDRESS +HEALTH +SHARE +SUCCESS +IN-FLIGHT +COST .*EJECTED BY$/m,
    );
    assert.match(
      stdout,
      /^catalog-1 +10\.0\.0\.7:8080 +passing +75\.0 % +98\.0 % +1 +1\.8 ms .* -$/m,
    );
    assert.match(stdout, /^catalog-2 .* critical .* 2 of 90 +node-a, node-b$/m);
    assert.match(stdout, /^A request counts where it was tried last\. FAILED counts since/m);
    assert.match(stdout, /^COST is .* a failure counts as slow\.$/m);
    assert.match((await stat("--to", "catalog.shop")).stdout, /^There is no endpoint here/);
  });

  it("groups and filters by source, route, endpoint and host", async () => {
    assert.deepEqual(names(await stat("--by", "source")), ["front"]);
    assert.deepEqual(names(await stat("--from", "front")), ["catalog", "catalog.shop"]);
    assert.deepEqual(names(await stat("catalog", "--by", "source")), ["front", "job.shop"]);
    assert.deepEqual(names(await stat("catalog", "--by", "source", "-n", "shop")), ["front"]);
    assert.match((await stat("--by", "route")).stdout, /^catalog +canary +front +98\.0 %/m);
    assert.match((await stat("--by", "endpoint")).stdout, /^catalog +catalog-2 /m);
    assert.deepEqual(names(await stat("--by", "host")), ["node-a", "node-b", "node-c"]);
    assert.deepEqual(names(await stat("-n", "shop")), ["catalog.shop"]);
  });

  it("puts first what is looked for: the slowest, the busiest, the most failing", async () => {
    const order = async (sort: string) => names(await stat("--sort", sort));
    assert.deepEqual(await order("p99"), ["catalog.shop", "catalog", "idle"]);
    assert.deepEqual(await order("rps"), ["catalog", "catalog.shop", "idle"]);
    assert.deepEqual(await order("success"), ["catalog.shop", "catalog", "idle"]);
    assert.deepEqual(await order("name"), ["catalog", "idle", "catalog.shop"]);
  });

  it("leaves services without traffic out of a large mesh, unless asked", async () => {
    const many = Array.from({ length: 60 }, (_, index) => {
      return service(`default/s${index}`, { ...NOTHING, inFlight: 0 });
    });
    registry.answers.set(REPORT, [200, meshReport({ services: [catalog, ...many] })]);
    try {
      const few = await stat();
      assert.deepEqual(names(few), ["catalog"]);
      assert.match(few.stdout, /60 services without traffic are not shown; --all/);
      assert.equal(names(await stat("--all")).length, 61);
      assert.equal(JSON.parse((await stat("-o", "json")).stdout).services.length, 61);
    } finally {
      registry.answers.set(REPORT, [200, report]);
    }
  });

  it("shows more in a wide table, and never more than the terminal holds", async () => {
    const wide = await stat("-o", "wide");
    assert.match(wide.stdout, /^SERVICE .* RETRIES +PROTOCOLS +ERRORS$/m);
    assert.match(wide.stdout, /^catalog .* 17 +http +NO_ENDPOINT 7, CONNECT_FAILED 2$/m);
    for (const args of [["stat"], ["stat", "catalog"], ["stat", "--by", "route", "-o", "wide"]]) {
      const { stdout } = await runCliHere([...args, "--registry", registry.url], 80);
      for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
    }
  });

  it("passes figures on as JSON and YAML", async () => {
    const json = JSON.parse((await stat("catalog", "-o", "json")).stdout);
    assert.deepEqual(Object.keys(json), ["atMs", "windowMs", "endpoints"]);
    assert.equal(json.endpoints[1].ejectedBy.length, 2);
    assert.match((await stat("-o", "yaml")).stdout, /^services:\n {2}- .*requests: 90$/ms);
    const hosts = JSON.parse((await stat("--by", "host", "-o", "json")).stdout).hosts;
    assert.deepEqual(hosts, report.hosts);
  });

  it("names what there is when a name is wrong", async () => {
    const wrong = await stat("catalgo");
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /no service catalgo\nhint: it knows catalog, idle, /);
    assert.match((await stat("--from", "x")).stderr, /no source x\nhint: it knows front/);
  });

  it("refuses what cannot be had, and says what can", async () => {
    for (const args of [
      ["--by", "endpoint", "--from", "front"],
      ["--by", "host", "--to", "catalog"],
      ["--by", "host", "-n", "shop"],
      ["catalog", "--to", "catalog"],
      ["-w", "-o", "json"],
    ]) {
      const { code, stdout, stderr } = await stat(...args);
      assert.deepEqual([code, stdout], [2, ""], args.join(" "));
      assert.match(stderr, /\nhint: /);
    }
  });

  it("says what to do while there is nothing to show", async () => {
    registry.answers.set(REPORT, [200, meshReport({ hosts: [] })]);
    try {
      const { code, stdout } = await stat();
      assert.equal(code, 0);
      assert.match(stdout, /Try: hostmesh service register/);
      assert.match(stdout, /No daemon has reported\. Start one: hostmesh daemon/);
    } finally {
      registry.answers.set(REPORT, [200, report]);
    }
  });

  it("never passes control characters of a name on", async () => {
    const evil = service("default/a\u001b]0;x\u0007b\u009b");
    registry.answers.set(REPORT, [200, meshReport({ services: [evil] })]);
    try {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point.
      assert.doesNotMatch((await stat()).stdout, /[\u001b\u0007\u009b]/);
    } finally {
      registry.answers.set(REPORT, [200, report]);
    }
  });
});
