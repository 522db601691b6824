import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import test from "node:test";
import { promisify } from "node:util";
import { Crew } from "../../daemon/warm-up/crew.ts";
import { Gate } from "../../daemon/warm-up/gate.ts";
import { scripts } from "../../daemon/warm-up/script.ts";
import { Settling } from "../../daemon/warm-up/settling.ts";
import { warmUp } from "../../daemon/warm-up/warm-up.ts";
import { configSchema } from "../../src/config/schema.ts";
import { BALANCER_POLICIES } from "../../src/core/model.ts";
import { until } from "../helpers/until.ts";

const config = configSchema.parse({ telemetry: { accessLog: "json" } });
const never = new AbortController().signal;
const base = { config, policies: ["peak-ewma"], signal: never } as const;

/** Handles of servers and connections of this process. */
function handles(): string[] {
  return process.getActiveResourcesInfo().filter((name) => name.startsWith("TCP"));
}

for (const captured of [false, true]) {
  const what = captured ? "captured and explicit" : "explicit";
  test(`${what} connections warm every policy, and nothing stays open`, async () => {
    const before = handles();
    const limitMs = 20_000;
    const result = await warmUp({ ...base, policies: BALANCER_POLICIES, captured, limitMs });
    assert(result.settled, "it had the time to settle");
    assert(result.requests > 1_000, `${result.requests} requests`);
    await until(() => handles().length === before.length, { what: "the end of all handles" });
  });
}

test("what records spans is warmed too where that is on, and no collector hears of it", async (t) => {
  let asked = 0;
  const collector = createServer(() => {
    asked += 1;
  }).listen(0, "127.0.0.1");
  await once(collector, "listening");
  t.after(() => collector.close());
  const { port } = collector.address() as AddressInfo;
  const endpoint = `http://127.0.0.1:${port}/`;
  const traced = configSchema.parse({ telemetry: { tracing: { endpoint, sampling: 0 } } });
  const limitMs = 20_000;
  const result = await warmUp({ ...base, config: traced, captured: true, limitMs });
  assert(result.settled && result.requests > 1_000, `${result.requests} requests`);
  assert.equal(asked, 0);
});

test("ends when its time is over", async () => {
  const result = await warmUp({ ...base, captured: false, limitMs: 30 });
  assert.equal(result.settled, false);
});

test("ends at once when it is told to hurry, before it has begun too", async () => {
  const hurry = new AbortController();
  const running = warmUp({ ...base, captured: true, limitMs: 600_000, signal: hurry.signal });
  setImmediate(() => hurry.abort());
  assert.equal((await running).settled, false);
  const late = await warmUp({ ...base, captured: true, limitMs: 600_000, signal: hurry.signal });
  assert.equal(late.requests, 0);
});

const LOGGED = `
  import { warmUp } from "${new URL("../../daemon/warm-up/warm-up.ts", import.meta.url)}";
  import { configSchema } from "${new URL("../../src/config/schema.ts", import.meta.url)}";
  const config = configSchema.parse({ telemetry: { accessLog: "json" } });
  const { signal } = new AbortController();
  const options = { config, policies: ["random"], captured: false, limitMs: 15_000, signal };
  const { requests } = await warmUp(options);
  process.stderr.write(String(requests));
`;

test("writes no access log, and keeps no process from ending", async () => {
  const args = ["--input-type=module", "--eval", LOGGED];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { timeout: 30_000 });
  assert.equal(stdout, "");
  assert(Number(stderr) > 0, stderr);
});

async function listening(t: TestContext, onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer(onSocket).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

async function dial(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  await once(socket, "connect");
  return socket;
}

test("fails where its connections break, instead of waiting", async (t) => {
  const port = await listening(t, (socket) => socket.destroy());
  const gate = new Gate(() => undefined);
  const options = { port, gate, limitMs: 600_000, signal: never };
  const crew = new Crew({ ...options, scripts: scripts(["web"], false) });
  await assert.rejects(crew.run(), /ended too early|ECONNRESET|EPIPE/);
});

test("the gate admits the warm-up's own connections, whoever is first, and no stranger", async (t) => {
  const admitted: (number | undefined)[] = [];
  const gate = new Gate((socket) => admitted.push(socket.remotePort));
  const accepted: Socket[] = [];
  const port = await listening(t, (socket) => {
    t.after(() => socket.destroy());
    accepted.push(socket);
  });
  const own = await dial(t, port);
  await until(() => accepted.length === 1);
  gate.expect(own, { destination: null });
  gate.arrive(accepted[0] as Socket);
  const stranger = await dial(t, port);
  await until(() => accepted.length === 2);
  gate.arrive(accepted[1] as Socket);
  const second = await dial(t, port);
  await until(() => accepted.length === 3);
  gate.arrive(accepted[2] as Socket);
  gate.expect(second, { destination: null });
  assert.deepEqual(admitted, [own.localPort, second.localPort]);
  stranger.resume();
  const ended = once(stranger, "close");
  gate.close();
  await ended;
  assert.equal(own.destroyed, false);
});

test("it is settled when batches have not become cheaper for a while", () => {
  const settling = new Settling();
  const falling = [100, 80, 60, 50].map((cost) => settling.add(cost));
  assert.deepEqual(falling, [false, false, false, false]);
  // Gains below 5 % of the best are noise, and a later real one starts the wait anew.
  const plateau = Array.from({ length: 7 }, () => settling.add(49));
  assert(!plateau.includes(true));
  assert.equal(settling.add(40), false);
  const flat = Array.from({ length: 8 }, () => settling.add(41));
  assert.deepEqual(flat.slice(0, 7), Array(7).fill(false));
  assert.equal(flat[7], true);
});
