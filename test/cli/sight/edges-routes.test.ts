import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SECURITIES } from "../../../src/core/security.ts";
import { type CliResult, runCliHere } from "../run.ts";
import { edge, endpoint, meshReport, NOTHING, route, service } from "./mesh-report.ts";
import { openPeer, type Peer } from "./peer.ts";

const REPORT = "/v1/mesh/sight/report";
const clear = { secured: false };
const report = meshReport({
  sources: [],
  services: [
    service("default/catalog", {
      rps: 8,
      success: 1,
      retries: 50,
      retriesPerSecond: 2,
      endpoints: [
        endpoint("node-a/catalog-1", { rps: 9, success: 1 }),
        endpoint("node-a/catalog-2", { rps: 1, success: 0.5, failures: 40 }),
      ],
    }),
    service("default/idle", { ...NOTHING }),
    service("shop/catalog"),
  ],
  routes: [
    route("default/front", "default/catalog", "canary", { rps: 2 }),
    route("default/front", "default/catalog", "default", { rps: 6 }),
    route("default/front", "shop/catalog", "default"),
  ],
  edges: [
    edge("default/front", "default/catalog"),
    edge("default/front", "default/store", { securities: { same_host: 4, mutual_tls: 1 } }),
    edge("default/front", "passthrough", { ...clear, securities: { passthrough: 3 } }),
    edge("default/job", "default/store", { ...clear, securities: { mutual_tls: 3, disabled: 1 } }),
    edge("unknown", "shop/catalog", { ...clear, securities: { by_pigeon: 1 } as object }),
  ],
});

let registry: Peer;
before(async () => {
  registry = await openPeer();
  registry.answers.set(REPORT, [200, report]);
});
after(() => registry.close());

function run(...args: string[]): Promise<CliResult> {
  return runCliHere([...args, "--registry", registry.url]);
}

describe("edges", () => {
  it("says of each edge whether it is secured, and if not, why and what to do", async () => {
    const { code, stdout } = await run("edges");
    assert.equal(code, 0);
    assert.match(stdout, /^SOURCE +DESTINATION +PROTOCOL +SECURED +RPS +SUCCESS +WHY NOT$/m);
    assert.match(stdout, /^front +catalog +http +mutual TLS +9\.5 +98\.0 %$/m);
    assert.match(stdout, /^front +store +http +same host, mutual TLS +/m);
    assert.match(stdout, /^front +passthrough .* no .* unknown destination$/m);
    assert.match(stdout, /^job +store .* partly .* 25\.0 %: policy asks for clear text$/m);
    assert.match(stdout, /^policy asks for clear text: find it with `hostmesh get /m);
    assert.match(stdout, /^unknown +catalog\.shop .* no .* by_pigeon$/m);
  });

  it("shows only what is not secured, and says when that is nothing", async () => {
    const some = await run("edges", "--not-secured", "-o", "json");
    const { edges } = JSON.parse(some.stdout);
    assert.deepEqual(
      edges.map(({ destination }: { destination: string }) => destination),
      ["passthrough", "default/store", "shop/catalog"],
    );
    assert.deepEqual(
      edges[1].kinds.map(({ security, share }: { security: string; share: number }) => [
        security,
        share,
      ]),
      [
        ["mutual_tls", 0.75],
        ["disabled", 0.25],
      ],
    );
    const none = await run("edges", "--not-secured", "--to", "catalog");
    assert.deepEqual(none.code, 0);
    assert.match(none.stdout, /^Everything that was seen is secured\.$/m);
  });

  it("filters by either end and by namespace", async () => {
    const count = async (...args: string[]) =>
      JSON.parse((await run("edges", "-o", "json", ...args)).stdout).edges.length;
    assert.equal(await count("--from", "front"), 3);
    assert.equal(await count("--to", "store"), 2);
    assert.equal(await count("-n", "shop"), 1);
    assert.match((await run("edges", "--to", "x")).stderr, /no destination with traffic x\nhint:/);
  });

  it("has words and a remedy for every way in which traffic can go", async () => {
    const { securityText } = await import("../../../src/cli/sight/security-texts.ts");
    for (const security of SECURITIES) {
      const { secured, text, remedy } = securityText(security);
      assert.notEqual(text, security);
      assert.equal(remedy === null, secured, security);
    }
  });
});

describe("routes", () => {
  it("shows what callers saw, and below it what the tries came to", async () => {
    const { stdout } = await run("routes", "catalog", "--sort", "rps");
    const lines = stdout.split("\n");
    assert.match(lines[0] ?? "", /^NAME +SOURCE +TYPE +SUCCESS +RPS +P50 +P95 +P99$/);
    assert.match(lines[1] ?? "", /^catalog +effective +100 % +8\.0 /);
    assert.match(lines[2] ?? "", /^├─ default +front +effective +98\.0 % +6\.0 /);
    assert.match(lines[3] ?? "", /^├─ canary +front +effective +98\.0 % +2\.0 /);
    assert.match(lines[4] ?? "", /^├─ 1\.25 tries a request +actual +80\.0 % +10\.0 +- +- +-$/);
    assert.match(lines[5] ?? "", /^└─► endpoints$/);
    assert.match(lines[6] ?? "", /^ {4}├─ catalog-1 +effective +100 % +9\.0 /);
    assert.match(lines[7] ?? "", /^ {4}└─ catalog-2 +effective +50\.0 % +1\.0 /);
    assert.match(stdout, /which route or endpoint they were of is not known/);
  });

  it("leaves out services that nobody routed to, unless one is named", async () => {
    const { stdout } = await run("routes", "-o", "json");
    const { services } = JSON.parse(stdout);
    assert.deepEqual(
      services.map((each: { service: string }) => each.service),
      ["default/catalog", "shop/catalog"],
    );
    assert.deepEqual(services[0].actual, { retries: 50, rps: 10, success: 0.8, perRequest: 1.25 });
    assert.equal(services[1].actual, null, "daemons of before do not tell of retries");
    assert.match((await run("routes", "idle")).stdout, /^idle .*\n└─► no endpoint$/m);
    assert.match((await run("routes", "idel")).stderr, /no service idel\nhint: it knows catalog/);
  });

  it("fits the terminal", async () => {
    for (const command of ["routes", "edges"]) {
      const { stdout } = await runCliHere([command, "--registry", registry.url], 80);
      for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
    }
  });
});
