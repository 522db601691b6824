import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../helpers/until.ts";
import { FakeTime } from "./fake-time.ts";
import { call, dig, testRegistry } from "./setup.ts";

const register = (registry: { url: string }, name: string, port = 80) =>
  call(registry, "PUT", "/v1/agent/service/register", { Name: name, Port: port });
const blocked = async (registry: { url: string }) =>
  Number(dig((await call(registry, "GET", "/v1/mesh/status")).body, "blockingQueries"));

test("a blocking query waits for a change of its own service, and of no other", async (t) => {
  const registry = await testRegistry(t);
  const { index } = await register(registry, "web");
  const query = call(registry, "GET", `/v1/health/service/web?index=${index}`);
  let answered = false;
  const done = query.then((answer) => {
    answered = true;
    return answer;
  });
  await until(async () => (await blocked(registry)) === 1, { what: "the query to wait" });
  await register(registry, "other");
  assert.equal(await blocked(registry), 1);
  assert.equal(answered, false);
  await register(registry, "web", 81);
  const answer = await done;
  assert.equal(dig(answer.body, "0.Service.Port"), 81);
  assert.ok(answer.index > index);
  assert.equal(await blocked(registry), 0);
});

test("a change of health, and the removal of the last endpoint, wake a query", async (t) => {
  const registry = await testRegistry(t);
  const { index } = await call(registry, "PUT", "/v1/agent/service/register", {
    ...{ Name: "web", Port: 80 },
    Check: { TTL: "1m" },
  });
  const first = call(registry, "GET", `/v1/health/service/web?passing&index=${index}`);
  await until(async () => (await blocked(registry)) === 1, { what: "the query to wait" });
  await call(registry, "PUT", "/v1/agent/check/pass/service:web");
  const woken = await first;
  assert.equal(dig(woken.body, "0.Service.ID"), "web");
  const second = call(registry, "GET", `/v1/catalog/service/web?index=${woken.index}`);
  const list = call(registry, "GET", `/v1/catalog/services?index=${woken.index}`);
  await until(async () => (await blocked(registry)) === 2, { what: "the queries to wait" });
  await call(registry, "PUT", "/v1/agent/service/deregister/web");
  assert.deepEqual((await second).body, []);
  assert.deepEqual((await list).body, {});
  assert.ok((await second).index > woken.index);
});

/** Query, wait that a fake clock must reach, with random 0.5: half of the jitter of a sixteenth. */
const waits: [string, number][] = [
  ["", 300_000 + 300_000 / 32],
  ["&wait=10s", 10_000 + 10_000 / 32],
  ["&wait=2h", 600_000 + 600_000 / 32],
  ["&wait=0s", 300_000 + 300_000 / 32],
];
for (const [wait, expectedMs] of waits) {
  test(`a query with ${wait === "" ? "no wait" : wait.slice(1)} is answered unchanged after ${expectedMs} ms`, async (t) => {
    const time = new FakeTime();
    const registry = await testRegistry(t, {
      clock: time,
      timers: time,
      pingMs: 1e9,
      digestMs: 1e9,
    });
    const { index } = await register(registry, "web");
    let answered = false;
    const query = call(registry, "GET", `/v1/health/service/web?index=${index}${wait}`);
    const done = query.then((answer) => {
      answered = true;
      return answer;
    });
    await until(async () => (await blocked(registry)) === 1, { what: "the query to wait" });
    time.advance(expectedMs - 1);
    assert.equal(await blocked(registry), 1);
    assert.equal(answered, false);
    time.advance(2);
    assert.equal((await done).index, index);
  });
}

test("an index of 0, an old one, and one that was never given are answered at once", async (t) => {
  const registry = await testRegistry(t);
  const { index } = await register(registry, "web");
  for (const old of [0, index - 1, index + 1_000]) {
    const answer = await call(registry, "GET", `/v1/health/service/web?index=${old}`);
    assert.equal(answer.index, index);
  }
});

test("the index of an empty registry is 1, and never falls when things are removed", async (t) => {
  const registry = await testRegistry(t);
  assert.equal((await call(registry, "GET", "/v1/health/service/web")).index, 1);
  const { index } = await register(registry, "web");
  const gone = await call(registry, "PUT", "/v1/agent/service/deregister/web");
  assert.ok(gone.index > index);
  assert.equal((await call(registry, "GET", "/v1/health/service/web")).index, gone.index);
});

test("queries beyond the limit get 429, and those that go away make room", async (t) => {
  const registry = await testRegistry(t, { maxBlockingQueries: 3 });
  const { index } = await register(registry, "web");
  const url = `${registry.url}/v1/health/service/web?index=${index}`;
  const leave = new AbortController();
  const waiting = [1, 2, 3].map(() => fetch(url, { signal: leave.signal }).catch(() => null));
  await until(async () => (await blocked(registry)) === 3, { what: "the queries to wait" });
  const fourth = await call(registry, "GET", `/v1/health/service/web?index=${index}`);
  assert.equal(fourth.status, 429);
  assert.match(String(dig(fourth.body, "error")), /too many blocking queries/);
  assert.equal((await call(registry, "GET", "/v1/health/service/web")).status, 200);
  leave.abort();
  await Promise.all(waiting);
  await until(async () => (await blocked(registry)) === 0, { what: "room again" });
});
