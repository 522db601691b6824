import assert from "node:assert/strict";
import { once } from "node:events";
import type { Socket } from "node:net";
import { connect } from "node:net";
import type { TestContext } from "node:test";
import test from "node:test";
import { fileURLToPath } from "node:url";
import type { Capture, CapturedAddresses } from "../../daemon/capture-control.ts";
import { NO_ADDRESSES } from "../../daemon/capture-control.ts";
import type { GuardianDeps } from "../../daemon/guardian.ts";
import { Guardian } from "../../daemon/guardian.ts";
import { configSchema } from "../../src/config/schema.ts";
import { processClock } from "../../src/core/clock.ts";
import { boundAddress, closeFd, openListener } from "../../src/proxy/downstream/libc.ts";
import { until } from "../helpers/until.ts";
import { memoryLog } from "./fixtures.ts";

const script = fileURLToPath(new URL("./fixture-generation.ts", import.meta.url));

/** What the generation names at first. */
const FIRST: CapturedAddresses = { workloads: ["10.1.0.1"], guarded: [] };

class FakeCapture implements Capture {
  readonly calls: string[] = [];
  sets: CapturedAddresses = NO_ADDRESSES;
  refreshes = 0;
  asserted = 0;
  missing = false;
  failInstall = false;
  failSyncs = 0;
  async install() {
    this.calls.push("install");
    if (this.failInstall) throw new Error("no TPROXY here");
  }
  async sync(addresses: CapturedAddresses) {
    this.calls.push("sync");
    if (this.failSyncs-- > 0) throw new Error("the sets are busy");
    this.sets = addresses;
  }
  async refresh() {
    this.refreshes++;
  }
  async assert() {
    this.asserted++;
    return this.missing;
  }
  async release() {
    this.calls.push("release");
  }
  async uninstall() {
    this.calls.push("uninstall");
  }
}

async function setup(t: TestContext, more: Partial<GuardianDeps> & { drainMs?: number } = {}) {
  const fd = openListener({ address: "127.0.0.1", port: 0, transparent: false, backlog: 128 });
  const { port } = boundAddress(fd);
  let closed = false;
  const capture = new FakeCapture();
  const { log, lines } = memoryLog();
  const config = configSchema.parse({
    capture: { deadManMs: 400 },
    timeouts: { drainMs: more.drainMs ?? 2_000 },
  });
  const guardian = new Guardian({
    config,
    start: {
      mode: "tproxy",
      workers: 1,
      meshPort: null,
      explicitPort: port,
      ownAddresses: [],
      ownPorts: [],
    },
    listeners: [{ worker: 0, entry: "explicit", fd }],
    closeListeners: () => {
      if (!closed) closeFd(fd);
      closed = true;
    },
    capture,
    captureRequired: true,
    keepRules: false,
    command: { file: process.execPath, args: [script] },
    clock: processClock,
    log,
    ...more,
  });
  t.after(async () => {
    await guardian.force();
  });
  return { guardian, capture, lines, port };
}

async function open(t: TestContext, port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.on("error", () => socket.destroy());
  await once(socket, "connect");
  return socket;
}

async function ask(socket: Socket, word: string): Promise<string> {
  socket.write(word);
  const [chunk] = await once(socket, "data", { signal: AbortSignal.timeout(5_000) });
  return String(chunk);
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
    return false;
  }
}

test("captures only when the generation is ready, with the workloads that it named", async (t) => {
  const { guardian, capture, port } = await setup(t);
  await guardian.start();
  assert.deepEqual(capture.calls.slice(0, 2), ["install", "sync"]);
  assert.deepEqual(capture.sets, FIRST);
  assert.equal(await ask(await open(t, port), "who"), String(guardian.generationPid));
  assert.deepEqual(guardian.ports, { admin: 1, metrics: 2, ready: 3 });
});

test("keeps the captured addresses in step with the generation", async (t) => {
  const { guardian, capture, port } = await setup(t);
  await guardian.start();
  const control = await open(t, port);
  control.write("workloads 10.1.0.2 10.1.0.3");
  await until(() => capture.sets.workloads.length === 2);
  const workloads = ["10.1.0.2", "10.1.0.3"];
  assert.deepEqual(capture.sets, { workloads, guarded: [] });
  control.write("guarded 10.1.0.3");
  await until(() => capture.sets.guarded.length === 1);
  assert.deepEqual(capture.sets, { workloads, guarded: ["10.1.0.3"] });
});

test("tries again to keep them in step when that has failed", async (t) => {
  const { guardian, capture, port } = await setup(t);
  await guardian.start();
  capture.failSyncs = 2;
  (await open(t, port)).write("workloads 10.1.0.2");
  await until(() => capture.sets.workloads.includes("10.1.0.2"));
  assert.deepEqual(capture.calls, ["install", "sync", "sync", "sync", "sync"]);
});

test("replaces a generation that dies, and no connection is refused meanwhile", async (t) => {
  const { guardian, port, lines } = await setup(t);
  await guardian.start();
  const first = guardian.generationPid;
  (await open(t, port)).write("die");
  await until(() => guardian.generationPid !== first);
  // Accepted by the socket that the guardian holds, served by the generation that comes.
  const waiting = await open(t, port);
  assert.equal(await ask(waiting, "who"), String(guardian.generationPid));
  const line = lines.find(({ message }) => message.includes("replaced"));
  assert.equal(line?.facts["how"], "exit code 7");
});

test("only a generation that replaces one is urgent", async (t) => {
  const { guardian, port } = await setup(t);
  await guardian.start();
  const first = await open(t, port);
  assert.equal(await ask(first, "urgent"), "false");
  first.write("die");
  await once(first, "close");
  assert.equal(await ask(await open(t, port), "urgent"), "true");
});

test("slows down when generations die in a row", async (t) => {
  const { guardian, port, lines } = await setup(t);
  await guardian.start();
  for (let round = 0; round < 3; round++) {
    const before = guardian.generationPid;
    (await open(t, port)).write("die");
    await until(() => guardian.generationPid !== undefined && guardian.generationPid !== before);
  }
  const delays = lines.filter(({ message }) => message.includes("replaced"));
  assert.deepEqual(
    delays.map(({ facts }) => facts["delayMs"]),
    [0, 100, 200],
  );
});

test("refreshes the dead-man while the data path answers and lets it lapse when it is silent", async (t) => {
  const { guardian, capture, port, lines } = await setup(t);
  await guardian.start();
  await until(() => capture.refreshes > 3);
  const control = await open(t, port);
  control.write("mute");
  await until(() => lines.some(({ message }) => message.includes("silent")));
  const lapsed = capture.refreshes;
  control.write("speak");
  await until(() => lines.some(({ message }) => message.includes("answers again")));
  assert(capture.refreshes <= lapsed + 1);
  await until(() => capture.refreshes > lapsed + 2);
});

test("puts rules back that somebody has flushed, with their addresses", async (t) => {
  const { guardian, capture, lines } = await setup(t, { assertMs: 50 });
  await guardian.start();
  const synced = capture.calls.length;
  await until(() => capture.asserted > 1);
  assert.equal(capture.calls.length, synced, "rules that are in place are left alone");
  capture.missing = true;
  await until(() => lines.some(({ message }) => message.includes("put back")));
  await until(() => capture.calls.length > synced && capture.calls.at(-1) === "sync");
  assert.deepEqual(capture.sets, FIRST);
});

test("an orderly stop releases the capture, drains, and then removes the rules", async (t) => {
  const { guardian, capture, port } = await setup(t);
  await guardian.start();
  const pid = guardian.generationPid ?? 0;
  const busy = await open(t, port);
  assert.equal(await ask(busy, "who"), String(pid));
  const stopped = guardian.stop();
  await until(() => capture.calls.includes("release"));
  assert(!capture.calls.includes("uninstall"), "an open connection still needs the rules");
  assert.equal(await ask(busy, "bye"), "bye");
  busy.end();
  await stopped;
  assert.deepEqual(capture.calls.slice(-1), ["uninstall"]);
  assert.equal(await guardian.done, 0);
  assert(!alive(pid));
  await assert.rejects(open(t, port), { code: "ECONNREFUSED" });
});

test("an orderly stop may leave the rules to the dead-man", async (t) => {
  const { guardian, capture } = await setup(t, { keepRules: true });
  await guardian.start();
  const startMs = performance.now();
  await guardian.stop();
  assert(!capture.calls.includes("uninstall"));
  assert.deepEqual(capture.sets, FIRST);
  assert(performance.now() - startMs >= 400, "accepts until the dead-man entry has lapsed");
});

test("gives the capture back before a stop, and does not take it up again", async (t) => {
  const { guardian, capture, port } = await setup(t, { assertMs: 50 });
  await guardian.start();
  const control = await open(t, port);
  control.write("release");
  await until(() => capture.calls.includes("release"));
  const { refreshes, asserted } = capture;
  control.write("workloads 10.1.0.9");
  const turns = performance.now() + 400;
  await until(() => performance.now() > turns);
  assert.deepEqual([capture.refreshes, capture.asserted], [refreshes, asserted]);
  assert.deepEqual(capture.sets, FIRST, "a released capture is not changed any more");
  assert.equal(await ask(await open(t, port), "who"), String(guardian.generationPid));
  control.end();
  await guardian.force();
  assert.deepEqual(
    capture.calls.filter((call) => call === "release" || call === "uninstall"),
    ["release", "uninstall"],
  );
});

test("the generation that replaces one after that knows that nothing will be captured again", async (t) => {
  const { guardian, capture, port } = await setup(t);
  await guardian.start();
  const control = await open(t, port);
  assert.equal(await ask(control, "capture"), "active true, released false");
  control.write("release");
  await until(() => capture.calls.includes("release"));
  control.write("die");
  await once(control, "close");
  const next = await open(t, port);
  assert.equal(await ask(next, "capture"), "active false, released true");
  next.end();
});

test("force ends a drain that does not end", async (t) => {
  const { guardian, capture, port } = await setup(t, { drainMs: 60_000 });
  await guardian.start();
  const pid = guardian.generationPid ?? 0;
  await ask(await open(t, port), "who");
  const stopped = guardian.stop();
  await guardian.force();
  await stopped;
  assert.equal(await guardian.done, 0);
  assert(!alive(pid));
  assert.deepEqual(
    capture.calls.filter((call) => call === "uninstall"),
    ["uninstall"],
  );
});

test("a generation can ask for the stop of the whole daemon", async (t) => {
  const { guardian, port } = await setup(t);
  await guardian.start();
  const control = await open(t, port);
  control.end("stop");
  assert.equal(await guardian.done, 0);
});

test("a first generation that fails is the failure of the start, with its reason", async (t) => {
  process.env["FAIL_AT_START"] = "1";
  t.after(() => {
    delete process.env["FAIL_AT_START"];
  });
  const { guardian, capture, port } = await setup(t);
  await assert.rejects(guardian.start(), /did not start: told to fail/);
  assert.deepEqual(capture.calls, []);
  await assert.rejects(open(t, port), { code: "ECONNREFUSED" });
});

test("rules that cannot be installed fail the start and leave nothing behind", async (t) => {
  const { guardian, capture } = await setup(t);
  capture.failInstall = true;
  await assert.rejects(guardian.start(), /no TPROXY here/);
  assert.deepEqual(capture.calls, ["install", "uninstall"]);
  assert.equal(guardian.generationPid, undefined);
});

test("where capture is a wish, its failure leaves the explicit proxy", async (t) => {
  const { guardian, capture, port, lines } = await setup(t, { captureRequired: false });
  capture.failInstall = true;
  await guardian.start();
  assert.deepEqual(capture.calls, ["install", "uninstall"]);
  assert(lines.some(({ facts }) => facts["reason"] === "no TPROXY here"));
  const client = await open(t, port);
  assert.equal(await ask(client, "who"), String(guardian.generationPid));
  client.end();
  await guardian.stop();
  assert.deepEqual(capture.calls, ["install", "uninstall"]);
});

test("a stop during the start ends both", async (t) => {
  const { guardian } = await setup(t);
  const started = guardian.start();
  const stopped = guardian.stop();
  await assert.rejects(started, /stopped before/);
  await stopped;
  assert.equal(guardian.generationPid, undefined);
});
