import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import type { Explanation } from "../../../src/core/explanation.ts";
import { runCliHere } from "../run.ts";
import { openPeer, type Peer } from "../sight/peer.ts";

const PATH = "/v1/mesh/sight/explain";
const NOBODY = "http://127.0.0.1:1";

let registry: Peer;
let daemon: Peer;
before(async () => {
  registry = await openPeer();
  daemon = await openPeer();
});
after(() => {
  registry.close();
  daemon.close();
});
beforeEach(() => {
  for (const peer of [registry, daemon]) {
    peer.answers.clear();
    peer.bodies.clear();
  }
  registry.answers.set("/v1/mesh/status", [200, {}]);
  registry.answers.set("/v1/mesh/workloads", [200, []]);
  registry.answers.set("/v1/mesh/endpoints", [200, []]);
});

function explanation(next: Explanation["outcome"]["next"] = null): Explanation {
  const route: Explanation["steps"][number] = {
    stage: "route",
    ...{ decision: "rule beta: to one backend", because: "matches path" },
    ...{
      resource: "VirtualService shop/catalog",
      details: ["rule other does not match: method POST"],
    },
  };
  const outcome: Explanation["outcome"] = {
    kind: "forward",
    ...{ status: null, error: null, text: "to node-b/1", endpoint: null, next },
  };
  return { host: "node-a", revision: 7, steps: [route], endpoints: [], outcome };
}

const explain = (...args: string[]) => runCliHere(["explain", "--registry", registry.url, ...args]);

test("it shows each decision with the resource in brackets", async () => {
  registry.answers.set(PATH, [200, explanation()]);
  const header = ["-H", "x-user:  ann ", "-H", "x-b: a: b"];
  const { code, stdout } = await explain(
    "--from",
    "shop/web",
    ...header,
    "post",
    "http://catalog:81/api?x=1",
  );
  assert.equal(code, 0);
  assert.match(stdout, /^on node-a, revision 7$/m);
  assert.match(stdout, /^ {2}route {8} {2}rule beta: to one backend$/m);
  assert.match(stdout, /^ +matches path \[VirtualService shop\/catalog\]$/m);
  assert.match(stdout, /^ +- rule other does not match: method POST$/m);
  assert.match(stdout, /^ {2}=> +forward: to node-b\/1$/m);
  assert.deepEqual(registry.bodies.get(PATH), {
    request: {
      ...{ source: "shop/web", destination: "http://catalog:81", method: "POST" },
      path: "/api?x=1",
      headers: [
        ["x-user", "ann"],
        ["x-b", "a: b"],
      ],
    },
  });
});

test("the endpoint's host is asked next, and a service's name leads to a host that serves it", async () => {
  const next = {
    ...{ source: "shop/web", destination: "http://10.0.0.9:80", method: "GET", path: "/" },
    ...{ headers: [], fromIdentity: "spiffe://a/web" },
  };
  const bodies: unknown[] = [];
  registry.answers.set(PATH, (_, response) => {
    bodies.push(registry.bodies.get(PATH));
    const first = bodies.length === 1;
    response.end(JSON.stringify(explanation(first ? { host: "node-b", request: next } : null)));
  });
  const place = { id: "node-c/1", service: "web", namespace: "shop", address: "10.0.0.1", port: 1 };
  const endpoint = { ...place, weight: 1, host: "node-c", health: "passing", checks: [] };
  registry.answers.set("/v1/mesh/endpoints", [200, [endpoint]]);
  const { code, stdout } = await explain("--from", "shop/web", "http://catalog", "-o", "json");
  assert.equal(code, 0);
  assert.equal(JSON.parse(stdout).length, 2);
  const hosts = bodies.map((body) => (body as { host?: string }).host);
  assert.deepEqual(hosts, ["node-c", "node-b"]);
  assert.deepEqual((bodies[1] as { request: unknown }).request, next);
});

test("without a registry this host's daemon is asked, and it is said what it cannot know", async () => {
  daemon.answers.set("/sight/explain", [
    200,
    explanation({
      host: "node-b",
      request: { source: "", destination: "x", method: "GET", path: "/", headers: [] },
    }),
  ]);
  const args = ["explain", "tcp://10.0.0.9:5432", "--registry", NOBODY, "--admin", daemon.url];
  const { code, stdout, stderr } = await runCliHere(args);
  assert.equal(code, 0);
  assert.match(stderr, /node-b judges whether the caller may; only a registry can ask it/);
  assert.match(stdout, /on node-a/);
  const asked = daemon.bodies.get("/sight/explain") as { destination: string };
  assert.equal(asked.destination, "tcp://10.0.0.9:5432");
});

test("wrong usage and answers that are none are told of", async () => {
  for (const args of [["GET", "ftp://x/"], ["http://"], ["-H", "nothing", "http://x"]]) {
    const { code, stdout } = await explain(...args);
    assert.deepEqual([code, stdout], [2, ""], args.join(" "));
  }
  registry.answers.set(PATH, [200, { steps: "many" }]);
  const garbled = await explain("http://x/");
  assert.equal(garbled.code, 1);
  assert.match(garbled.stderr, /the explanation is not understood/);
  registry.answers.set(PATH, [400, { error: "source: this host has no workload a/b" }]);
  const refused = await explain("--from", "a/b", "http://x/");
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /this host has no workload a\/b/);
});
