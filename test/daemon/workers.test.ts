import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect, createServer } from "node:net";
import type { TestContext } from "node:test";
import test from "node:test";
import type { SupervisorDeps } from "../../daemon/workers.ts";
import { WorkerSupervisor } from "../../daemon/workers.ts";
import { processClock } from "../../src/core/clock.ts";
import type { DataUpdate } from "../../src/core/snapshot.ts";
import { until } from "../helpers/until.ts";
import { memoryLog, service } from "./fixtures.ts";

const script = new URL("./fixture-worker.ts", import.meta.url);

function update(names: string[], more: Partial<DataUpdate> = {}): DataUpdate {
  const services = names.map((name) => ({
    ...service(name),
    key: `default/${name}`,
    endpoints: [],
  }));
  const empty = { removedServices: [], workloads: [], removedWorkloads: [] };
  return { revision: 1, full: false, services, ...empty, ...more };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  assert(address !== null && typeof address === "object");
  return address.port;
}

async function setup(t: TestContext, more: Partial<SupervisorDeps> = {}, extra: object = {}) {
  const port = await freePort();
  let state = update([], { full: true });
  const released: number[] = [];
  const { log, lines } = memoryLog();
  const supervisor = new WorkerSupervisor({
    script,
    count: 2,
    startData: (index) => ({ index, port, state, ...extra }),
    fullState: () => state,
    release: (index) => released.push(index),
    clock: processClock,
    log,
    onSeries: () => undefined,
    onTraced: () => undefined,
    onSpans: () => undefined,
    ...more,
  });
  t.after(() => supervisor.stop());
  const setState = (value: DataUpdate) => {
    state = value;
  };
  return { supervisor, port, released, lines, setState };
}

async function ask(socket: Socket, word: string): Promise<string> {
  socket.write(word);
  const [chunk] = await once(socket, "data", { signal: AbortSignal.timeout(5_000) });
  return String(chunk);
}

/** One connection to each of the two workers. */
async function clients(t: TestContext, port: number): Promise<[Socket, Socket]> {
  const found = new Map<string, Socket>();
  while (found.size < 2) {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => socket.destroy());
    t.after(() => socket.destroy());
    const index = (await ask(socket, "who")).charAt(0);
    if (found.has(index)) socket.destroy();
    else found.set(index, socket);
  }
  const [first, second] = [found.get("0"), found.get("1")];
  assert(first !== undefined && second !== undefined);
  return [first, second];
}

for (const [what, word] of [
  ["throws", "throw"],
  ["exhausts its heap", "exhaust"],
] as const) {
  test(`a worker that ${what} is replaced within a second and the other never notices`, async (t) => {
    const limits = { maxOldGenerationSizeMb: 32, maxYoungGenerationSizeMb: 4 };
    const { supervisor, port, released, lines } = await setup(t, { resourceLimits: limits });
    await supervisor.start();
    const [victim, bystander] = await clients(t, port);
    const before = supervisor.worker(0);
    victim.write(word);
    await until(() => supervisor.worker(0) !== before, { what: "the end of the worker" });
    const goneMs = performance.now();
    assert.equal(await ask(bystander, "still here"), "still here");
    await until(() => supervisor.stats().ready === 2, { what: "the replacement" });
    assert(performance.now() - goneMs < 1_000, `took ${performance.now() - goneMs} ms`);
    assert.notEqual(supervisor.worker(0), before);
    assert.deepEqual(released, [0]);
    assert.equal(supervisor.stats().restarts, 1);
    assert.equal(await ask(bystander, "and now"), "and now");
    const failed = lines.find((line) => line.message === "worker failed");
    assert.match(
      String(failed?.facts["stack"]),
      word === "throw" ? /told to throw[\s\S]*fixture-worker/ : /memory/,
    );
  });
}

test("a worker that is ended from outside is replaced with the full state of that moment", async (t) => {
  const { supervisor, port, setState } = await setup(t);
  await supervisor.start();
  setState(update(["web", "api"], { full: true }));
  const before = supervisor.worker(1);
  await before?.terminate();
  await until(() => supervisor.stats().ready === 2 && supervisor.worker(1) !== before);
  const [, second] = await clients(t, port);
  assert.equal(await ask(second, "who"), "1 default/api,default/web");
});

test("an update reaches every worker", async (t) => {
  const { supervisor, port } = await setup(t);
  await supervisor.start();
  const [first, second] = await clients(t, port);
  supervisor.post(update(["web"]));
  await supervisor.ping(2_000);
  assert.equal(await ask(first, "who"), "0 default/web");
  assert.equal(await ask(second, "who"), "1 default/web");
});

test("a worker that refuses an update gets the full state instead", async (t) => {
  const { supervisor, port, setState, lines } = await setup(t);
  await supervisor.start();
  const [first] = await clients(t, port);
  setState(update(["whole"], { full: true }));
  supervisor.post(update([], { removedServices: ["default/bad"] }));
  await until(() => supervisor.stats().rejectedUpdates === 2);
  await until(async () => (await ask(first, "who")) === "0 default/whole");
  assert(lines.some((line) => line.facts["reason"] === "told to refuse"));
});

test("a worker that hangs is found and replaced", async (t) => {
  const { supervisor, port, lines } = await setup(t, { hangMs: 500 });
  await supervisor.start();
  const [victim, bystander] = await clients(t, port);
  const before = supervisor.worker(0);
  victim.write("hang");
  await until(() => supervisor.worker(0) !== before && supervisor.stats().ready === 2, {
    what: "the replacement of a hung worker",
  });
  assert(lines.some((line) => line.message.includes("hangs")));
  assert.equal(await ask(bystander, "alive"), "alive");
});

test("pings answer with what each worker holds, and null for one that is gone", async (t) => {
  const { supervisor, port } = await setup(t);
  await supervisor.start();
  await clients(t, port);
  const answers = await supervisor.ping(2_000);
  assert.equal(answers.length, 2);
  assert(answers.every((stats) => stats !== null && stats.connections >= 1));
  const gone = supervisor.worker(0)?.terminate();
  const [first] = await supervisor.ping(2_000);
  assert.equal(first, null);
  await gone;
});

test("a start that fails is reported, and a crash loop is slowed down", async (t) => {
  const { supervisor } = await setup(t, {}, { failAtStart: true });
  const started = supervisor.start();
  await assert.rejects(started, (error: Error) => {
    assert.match(error.message, /before it was ready/);
    assert.match(String(error.cause), /fails at start/);
    return true;
  });
  await until(() => supervisor.stats().backingOff > 0, { what: "the back-off" });
  assert(supervisor.stats().restarts > 10);
});

test("drains: workers end their work and go, and none is replaced", async (t) => {
  const { supervisor, port } = await setup(t);
  await supervisor.start();
  const [first, second] = await clients(t, port);
  const drained = supervisor.drain(5_000);
  assert.equal(await ask(first, "in flight"), "in flight");
  first.end();
  second.end();
  await drained;
  assert.equal(supervisor.worker(0), null);
  assert.equal(supervisor.stats().restarts, 0);
});

test("a drain that takes too long is cut", async (t) => {
  const { supervisor, port } = await setup(t);
  await supervisor.start();
  await clients(t, port);
  const startMs = performance.now();
  await supervisor.drain(50);
  assert(performance.now() - startMs < 3_000);
  assert.equal(supervisor.stats().ready, 0);
});

test("quiesce waits for workers in the middle of their start, and begins none after it", async (t) => {
  const { supervisor } = await setup(t);
  const started = supervisor.start();
  await supervisor.quiesce();
  assert.equal(supervisor.stats().ready, 2, "nobody duplicates a socket any more");
  await started;
  await supervisor.worker(0)?.terminate();
  await until(() => supervisor.stats().ready === 1);
  assert.equal(supervisor.worker(0), null);
  assert.equal(supervisor.stats().restarts, 0);
});

test("quiesce cuts the warm-up of workers short", async (t) => {
  const { supervisor } = await setup(t, {}, { dawdles: true });
  const started = supervisor.start();
  assert.equal(supervisor.stats().ready, 0);
  await supervisor.quiesce();
  assert.equal(supervisor.stats().ready, 2);
  await started;
});

test("only a worker that replaces one is urgent", async (t) => {
  const began: [index: number, urgent: boolean][] = [];
  const port = await freePort();
  const state = update([], { full: true });
  const startData = (index: number, urgent: boolean) => {
    began.push([index, urgent]);
    return { index, port, state };
  };
  const { supervisor } = await setup(t, { startData });
  await supervisor.start();
  await supervisor.worker(1)?.terminate();
  await until(() => supervisor.stats().restarts === 1 && supervisor.stats().ready === 2);
  assert.deepEqual(began, [
    [0, false],
    [1, false],
    [1, true],
  ]);
});

test("quiesce ends a crash loop, and a start after it is refused", async (t) => {
  const { supervisor } = await setup(t, {}, { failAtStart: true });
  await assert.rejects(supervisor.start());
  await supervisor.quiesce();
  assert.equal(supervisor.stats().backingOff, 0);
  assert.deepEqual([supervisor.worker(0), supervisor.worker(1)], [null, null]);
  await assert.rejects(supervisor.start(), /stopped before/);
});
