import assert from "node:assert/strict";
import test from "node:test";
import { NameResolver, type Resolved } from "../../daemon/name-resolver.ts";
import type { Change, Endpoint } from "../../src/core/model.ts";
import { FakeTime } from "../registry/fake-time.ts";
import { endpoint, memoryLog } from "./fixtures.ts";

const named = (id: string, address: string, more: Partial<Endpoint> = {}): Change => {
  const put = { ...endpoint(id, "ext", { address }), resolve: "dns", ...more } as Endpoint;
  return { kind: "endpoint", key: id, value: put };
};
const gone = (key: string): Change => ({ kind: "endpoint", key, value: null });

function setup(answers: Record<string, () => Resolved>) {
  const time = new FakeTime();
  const { log, lines } = memoryLog();
  const told: string[][] = [];
  const asked: string[] = [];
  const resolver = new NameResolver({
    async resolve(name) {
      asked.push(name);
      const answer = answers[name];
      if (answer === undefined) throw new Error("ENOTFOUND");
      return answer();
    },
    timers: time,
    log,
    onChange: (changes) => told.push(shown(changes)),
  });
  const settled = () => new Promise<void>((resolve) => setImmediate(resolve));
  return { time, resolver, told, asked, lines, settled };
}

function shown(changes: readonly Change[]): string[] {
  return changes.map(({ key, value }) => (value === null ? `-${key}` : `+${key}`));
}

test("a name becomes an endpoint for each of its addresses, and follows them", async () => {
  let addresses = ["10.0.0.2", "10.0.0.1", "10.0.0.2"];
  const lab = setup({ "db.example": () => ({ addresses, ttlMs: 20_000 }) });
  assert.deepEqual(shown(lab.resolver.expand([named("a", "db.example")], false)), []);
  await lab.settled();
  assert.deepEqual(lab.told, [["+a@10.0.0.1", "+a@10.0.0.2"]]);
  addresses = ["10.0.0.3", "10.0.0.2"];
  lab.time.advance(20_000);
  await lab.settled();
  assert.deepEqual(lab.told.at(-1), ["-a@10.0.0.1", "+a@10.0.0.2", "+a@10.0.0.3"]);
});

test("while a name cannot be resolved its last addresses stay, and it is asked again", async () => {
  const answers: Record<string, () => Resolved> = {
    "db.example": () => ({ addresses: ["10.0.0.1"], ttlMs: 0 }),
  };
  const lab = setup(answers);
  lab.resolver.expand([named("a", "db.example")], false);
  await lab.settled();
  delete answers["db.example"];
  for (let round = 0; round < 3; round++) {
    lab.time.advance(5_000);
    await lab.settled();
  }
  assert.equal(lab.told.length, 1, "nothing was taken back");
  assert.equal(lab.asked.length, 4);
  assert.equal(lab.lines.length, 3);
  assert.match(lab.lines[0]?.message ?? "", /cannot be resolved/);
});

test("other changes pass, an endpoint that gets an address loses its names, a full batch drops the rest", async () => {
  const lab = setup({ "db.example": () => ({ addresses: ["10.0.0.1"], ttlMs: 60_000 }) });
  const plain: Change = { kind: "endpoint", key: "p", value: endpoint("p", "web") };
  assert.deepEqual(lab.resolver.expand([plain], false), [plain]);
  lab.resolver.expand([named("a", "db.example"), named("b", "db.example")], false);
  await lab.settled();
  assert.equal(lab.asked.length, 1, "two endpoints, one name");
  const fixed: Change = { kind: "endpoint", key: "a", value: endpoint("a", "ext") };
  assert.deepEqual(shown(lab.resolver.expand([fixed], false)), ["-a@10.0.0.1", "+a"]);
  assert.deepEqual(shown(lab.resolver.expand([named("b", "db.example")], true)), ["+b@10.0.0.1"]);
  assert.deepEqual(shown(lab.resolver.expand([gone("b")], false)), ["-b@10.0.0.1", "-b"]);
  lab.time.advance(600_000);
  await lab.settled();
  assert.equal(lab.asked.length, 1, "nobody needs the name any more");
});
