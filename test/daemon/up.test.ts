import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import test from "node:test";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import type { ConfigInput } from "../../src/config/schema.ts";
import { until } from "../helpers/until.ts";

const script = fileURLToPath(new URL("./fixture-up.ts", import.meta.url));
const skip = process.platform !== "linux" && "reads /proc";

const readyLine = z.looseObject({
  message: z.literal("ready"),
  registry: z.string(),
  admin: z.number(),
  ready: z.number(),
  explicit: z.number(),
});
const pathLine = z.looseObject({ message: z.literal("data path ready"), pid: z.number() });

interface Up {
  readonly child: ChildProcess;
  readonly lines: string[];
  readonly exited: Promise<number | null>;
  /** Facts of the line that says that everything serves. */
  ready(): Promise<z.infer<typeof readyLine>>;
  /** Process ids of the generations, the newest last. */
  generations(): number[];
}

/** A folder that goes when the `up` that uses it has ended. */
function temporary(): Promise<string> {
  return mkdtemp(join(tmpdir(), "hostmesh-up-"));
}

function up(t: TestContext, dataDir: string, files: string[] = [], more: ConfigInput = {}): Up {
  const config: ConfigInput = {
    host: "node-a",
    workers: 1,
    dataDir,
    capture: { mode: "explicit" },
    ports: { explicit: 0, admin: 0, metrics: 0, ready: 0, metricsBind: "127.0.0.1" },
    registry: { port: 0 },
    timeouts: { drainMs: 3_000 },
    telemetry: { logFormat: "json" },
    ...more,
  };
  const child = spawn(process.execPath, [script, JSON.stringify(config), ...files], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines: string[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => lines.push(line));
  const exited = once(child, "exit").then(([code]) => (typeof code === "number" ? code : null));
  const parsed = () =>
    lines.filter((line) => line.startsWith("{")).map((line): unknown => JSON.parse(line));
  const generations = () =>
    parsed().flatMap((line) => {
      const found = pathLine.safeParse(line);
      return found.success ? [found.data.pid] : [];
    });
  t.after(async () => {
    child.kill("SIGKILL");
    await exited;
    // A generation ends by itself when its guardian is gone; nothing may outlive the test.
    await until(() => generations().every((pid) => !runs(pid)), { timeoutMs: 10_000 });
    await rm(dataDir, { recursive: true, force: true });
  });
  return {
    child,
    lines,
    exited,
    generations,
    async ready() {
      let found: z.infer<typeof readyLine> | undefined;
      await until(
        () => {
          found = parsed().flatMap((line) => readyLine.safeParse(line).data ?? [])[0];
          return found !== undefined || child.exitCode !== null;
        },
        { timeoutMs: 15_000, what: "the start" },
      );
      assert(found !== undefined, lines.join("\n"));
      return found;
    },
  };
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    assert.equal((error as NodeJS.ErrnoException).code, "ESRCH");
    return false;
  }
}

async function upstream(t: TestContext, delayMs = 0): Promise<number> {
  const server = createServer((_, response) => {
    setTimeout(() => response.end("hello"), delayMs);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.closeAllConnections());
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function get(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, headers: { host }, agent: false });
    sent.setTimeout(5_000, () => sent.destroy(new Error("no answer in 5 s")));
    sent.on("error", reject);
    sent.on("response", (response) => {
      response.on("error", reject);
      response.on("end", () => resolve(response.statusCode ?? 0));
      response.resume();
    });
    sent.end();
  });
}

test("one command serves what its file declares, follows the file, and stops in order", {
  skip,
}, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t);
  const file = join(dataDir, "services.yaml");
  const write = async (text: string) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  await write(
    `service: {name: web, port: ${port}}\n---\nservices: [{name: api}]\nendpoints: [{id: api-1, service: api, address: 127.0.0.1, port: ${port}}]\n`,
  );
  const mesh = up(t, dataDir, [file]);
  const { explicit, ready } = await mesh.ready();
  await until(async () => (await get(explicit, "web")) === 200);
  await until(async () => (await get(explicit, "api")) === 200);
  const readiness = await fetch(`http://127.0.0.1:${ready}/healthz/ready`);
  assert.equal(readiness.status, 200, await readiness.text());

  await write("service: {name: web\n");
  await until(() => mesh.lines.some((line) => line.includes("not applied")));
  assert.equal(await get(explicit, "web"), 200, "a bad edit changes nothing");
  await write(`services: [{name: shop, port: ${port}}]\n`);
  await until(async () => (await get(explicit, "shop")) === 200);
  await until(async () => (await get(explicit, "web")) !== 200, { what: "the removal of web" });
  assert.notEqual(await get(explicit, "api"), 200);

  mesh.child.kill("SIGHUP");
  await until(() => mesh.lines.some((line) => line.includes("SIGHUP")));
  const [generation = 0] = mesh.generations();
  mesh.child.kill("SIGTERM");
  assert.equal(await mesh.exited, 0);
  assert(!runs(generation));

  // What left the file while nobody watched is removed at the next start.
  await write("services: []\n");
  const again = up(t, dataDir, [file]);
  const second = await again.ready();
  await until(async () => (await get(second.explicit, "shop")) === 404);
});

test("a request in flight survives the stop", { skip }, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t, 500);
  const mesh = up(t, dataDir);
  const { explicit, registry, admin } = await mesh.ready();
  const body = JSON.stringify({ Name: "slow", Port: port });
  await fetch(`${registry}/v1/agent/service/register`, { method: "PUT", body });
  await until(async () => (await get(explicit, "slow")) === 200);
  const inFlight = get(explicit, "slow");
  await until(async () => {
    const stats = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
    return /"inFlight": 1/.test(stats);
  });
  mesh.child.kill("SIGINT");
  assert.equal(await inFlight, 200);
  assert.equal(await mesh.exited, 0);
});

test("a generation that is killed is replaced, and requests wait rather than fail", {
  skip,
}, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t);
  const mesh = up(t, dataDir);
  const { explicit, registry } = await mesh.ready();
  const body = JSON.stringify({ Name: "web", Port: port });
  await fetch(`${registry}/v1/agent/service/register`, { method: "PUT", body });
  await until(async () => (await get(explicit, "web")) === 200);
  const [first = 0] = mesh.generations();
  process.kill(first, "SIGKILL");
  await until(() => !runs(first));
  assert.equal(await get(explicit, "web"), 200, "the listening socket has outlived the generation");
  await until(() => mesh.generations().length === 2);
});

test("a generation whose guardian is killed ends by itself", { skip }, async (t) => {
  const mesh = up(t, await temporary());
  const { explicit } = await mesh.ready();
  const [generation = 0] = mesh.generations();
  mesh.child.kill("SIGKILL");
  await mesh.exited;
  await until(() => !runs(generation), { what: "the end of the generation" });
  await assert.rejects(get(explicit, "web"), { code: "ECONNREFUSED" });
});

test("a start that fails says why and leaves nothing behind", { skip }, async (t) => {
  const dataDir = await temporary();
  const taken = await upstream(t);
  const ports = { explicit: 0, admin: 0, metrics: 0, metricsBind: "127.0.0.1" };
  const mesh = up(t, dataDir, [], { ports: { ...ports, ready: taken } });
  assert.equal(await mesh.exited, 1);
  const text = mesh.lines.join("\n");
  assert.match(text, /the readiness server cannot listen on 127.0.0.1 port/);
  assert.match(text, /could not start/);
});

test("a second daemon of a host is refused before it takes a connection", { skip }, async (t) => {
  const first = up(t, await temporary());
  const { admin, explicit } = await first.ready();
  const ports = { explicit, admin, metrics: 0, ready: 0, metricsBind: "127.0.0.1" };
  const second = up(t, await temporary(), [], { ports });
  assert.equal(await second.exited, 1);
  assert.match(second.lines.join("\n"), /another hostmesh daemon may be running/);
});
