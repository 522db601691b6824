import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer as createHttp2Server, type ServerHttp2Session } from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ask } from "../../bench/idle/ask.ts";
import { mostThatFit, parseAvailableBytes } from "../../bench/idle/memory-room.ts";
import { idlePoints, pointsThatFit } from "../../bench/idle/points.ts";
import { type IdleOptions, type IdleOutcome, runIdle } from "../../bench/idle/run-idle.ts";
import { findProgram } from "../../bench/lib/tools.ts";
import type { HttpProtocol, Peer } from "../../bench/model.ts";
import { until } from "../helpers/until.ts";

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };
const HOLDER = fileURLToPath(new URL("../../bench/idle/hold-connections.ts", import.meta.url));

const OPTIONS: IdleOptions = {
  ...{
    containers: 2,
    peers: [],
    protocol: "http1",
    envoyBinary: null,
    connections: 0,
    repeat: 1,
    settleMs: 50,
  },
};

async function measured(options: Partial<IdleOptions>, signal = new AbortController().signal) {
  const configFolder = await mkdtemp(join(tmpdir(), "idle-test-"));
  const lines: string[] = [];
  try {
    const context = { signal, configFolder, onProgress: (line: string) => void lines.push(line) };
    const outcome: IdleOutcome = await runIdle(context, { ...OPTIONS, ...options });
    return { outcome, lines, kept: await readdir(configFolder) };
  } finally {
    await rm(configFolder, { recursive: true });
  }
}

/** A server that answers every request on a connection with `answer`. */
async function answering(answer: string, use: (port: number, sockets: Socket[]) => Promise<void>) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined).on("data", () => socket.write(answer));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    await use((server.address() as AddressInfo).port, sockets);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

function holder(port: number, connections: number, protocol = "http1") {
  const args = [HOLDER, "127.0.0.1", String(port), "web", String(connections), protocol];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const seen = { output: "", ended: once(child, "close") };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      seen.output += chunk.toString();
    });
  }
  return { child, seen };
}

test("memory is read at one, a fifth, a half and all of the containers", () => {
  assert.deepEqual(idlePoints(50), [1, 10, 25, 50]);
  assert.deepEqual(idlePoints(3), [1, 2, 3]);
  assert.deepEqual(idlePoints(1), [1]);
});

test("where memory does not suffice the points end with the most that fits", () => {
  assert.deepEqual(pointsThatFit([1, 10, 25, 50], 30), [1, 10, 25, 30]);
  assert.deepEqual(pointsThatFit([1, 10, 25, 50], 50), [1, 10, 25, 50]);
  assert.deepEqual(pointsThatFit([10, 25, 50], 0), [1]);
});

test("a part of the available memory is left alone", () => {
  assert.equal(parseAvailableBytes("MemTotal: 9 kB\nMemAvailable:    1000 kB\n"), 1_024_000);
  assert.throws(() => parseAvailableBytes("MemTotal: 9 kB\n"), /MemAvailable/);
  assert.equal(mostThatFit(100, 1_000), 9);
  assert.equal(mostThatFit(2_000, 1_000), 1);
});

test("one connection carries all requests, and an answer that is no success is refused", async () => {
  const body = "x".repeat(115);
  await answering(
    `HTTP/1.1 200 OK\r\nContent-Length: 115\r\n\r\n${body}`,
    async (port, sockets) => {
      const target = { host: "127.0.0.1", port, authority: "web", connect: false };
      await ask(target, "http1", 3);
      assert.equal(sockets.length, 1);
    },
  );
  await answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", async (port) => {
    const target = { host: "127.0.0.1", port, authority: "web", connect: false };
    await assert.rejects(
      ask(target, "http1", 1),
      /web at 127\.0\.0\.1:\d+ answered 503 with 0 bytes/,
    );
  });
});

test("held connections stay open after one answer each", async () => {
  const answer = `HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n${"x".repeat(16)}`;
  await answering(answer, async (port, sockets) => {
    const { child, seen } = holder(port, 100);
    try {
      await until(() => seen.output.includes("held 100\n"), { timeoutMs: 20_000 });
      assert.equal(sockets.filter(({ destroyed }) => !destroyed).length, 100);
      // A proxy that closes them must not go unnoticed.
      sockets[7]?.end();
      await until(() => child.exitCode !== null);
      assert.equal(child.exitCode, 1);
      assert.match(seen.output, /connection to 127\.0\.0\.1:\d+: closed, after 100 of 100/);
    } finally {
      child.kill("SIGKILL");
      await seen.ended;
    }
  });
});

test("over HTTP/2 one connection carries all requests, and those that are held stay open", async () => {
  const sessions = new Set<ServerHttp2Session>();
  const server = createHttp2Server();
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    const bytes = Number(/\d+$/.exec(String(headers[":path"]))?.[0]);
    const isGrpc = headers["content-type"] === "application/grpc";
    stream.respond(
      { ":status": 200, ...(isGrpc ? {} : { "content-length": bytes }) },
      {
        waitForTrailers: isGrpc,
      },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(Buffer.alloc(bytes + (isGrpc ? 5 : 0)));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  try {
    for (const protocol of ["http2", "grpc"] as const) {
      sessions.clear();
      await ask({ host: "127.0.0.1", port, authority: "web", connect: false }, protocol, 3);
      assert.equal(sessions.size, 1);
      sessions.clear();
      const { child, seen } = holder(port, 70, protocol);
      try {
        await until(() => seen.output.includes("held 70\n"), { timeoutMs: 20_000 });
        assert.equal([...sessions].filter(({ destroyed }) => !destroyed).length, 70);
        [...sessions][7]?.close();
        await until(() => child.exitCode !== null);
        assert.equal(child.exitCode, 1);
        assert.match(seen.output, /: closed, after 70 of 70/);
      } finally {
        child.kill("SIGKILL");
        await seen.ended;
      }
    }
  } finally {
    server.close();
    for (const session of sessions) session.destroy();
  }
});

test("a refusal ends the holder with a reason", async () => {
  await answering("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", async (port) => {
    const { child, seen } = holder(port, 3);
    await seen.ended;
    assert.equal(child.exitCode, 1);
    assert.match(seen.output, /answered HTTP\/1\.1 503/);
  });
});

test("an absent peer is missing, with what to do about it", onLinux, async () => {
  const { outcome } = await measured({ peers: ["envoy"], envoyBinary: "/nowhere/envoy" });
  assert.deepEqual(outcome.rows, []);
  const [missing] = outcome.missing;
  assert.equal(missing?.name, "envoy sidecars");
  assert.match(missing?.reason ?? "", /\/nowhere\/envoy does not run/);
});

const PROGRAMS: readonly (readonly [Peer, HttpProtocol])[] = [
  ["nginx", "http1"],
  ["haproxy", "http2"],
  ["nginx", "grpc"],
];

for (const [peer, protocol] of PROGRAMS) {
  test(
    `idle ${peer} sidecars of ${protocol} are started and their memory is read`,
    onLinux,
    async (t) => {
      if ((await findProgram(peer)) === null) return t.skip(`${peer} is not installed`);
      const { outcome, kept } = await measured({ peers: [peer], protocol, connections: 50 });
      assert.deepEqual(outcome.missing, []);
      const kinds = Map.groupBy(outcome.rows, ({ contestant }) => contestant);
      assert.deepEqual(
        [...kinds.keys()],
        peer === "haproxy" ? ["haproxy sidecars", "haproxy sidecars, mTLS"] : [`${peer} sidecars`],
      );
      for (const [one, two, ...more] of kinds.values()) {
        assert.ok(one !== undefined && two !== undefined && more.length === 0);
        assert.deepEqual([one.containers, two.containers], [1, 2]);
        assert.equal(two.processes, 2 * one.processes);
        // What PSS is depends on who else runs the program just now.
        for (const row of [one, two]) assert.ok(row.pssBytes > 0 && row.pssBytes <= row.rssBytes);
        assert.ok(two.rssBytes > 1.5 * one.rssBytes);
      }
      const [connections] = outcome.connections;
      assert.deepEqual([connections?.contestant, connections?.connections], [peer, 50]);
      assert.equal(connections?.protocol, protocol);
      assert.ok(outcome.rows.every((row) => row.protocol === protocol));
      assert.ok(Number.isFinite(connections?.pssBytesEach));
      assert.ok(kept.includes(`${peer}-sidecars`), String(kept));
      assert.match(outcome.notes[0] ?? "", /10 requests for 115 bytes/);
    },
  );
}

test("a daemon for two containers and its registry are separate rows", onLinux, async () => {
  const configFolder = await mkdtemp(join(tmpdir(), "idle-test-"));
  const context = {
    ...{ signal: new AbortController().signal, configFolder, onProgress: () => undefined },
  };
  try {
    const { rows, missing } = await runIdle(context, {
      ...OPTIONS,
      peers: ["hostmesh"],
      containers: 1,
    });
    assert.deepEqual(missing, []);
    const names = rows.map(({ contestant }) => contestant);
    assert.deepEqual(names, [
      ...["hostmesh daemon", "hostmesh registry (one for all hosts)", "hostmesh sidecars"],
    ]);
    // Guardian and generation; the registry is on no path.
    assert.deepEqual(
      rows.map(({ processes }) => processes),
      [2, 1, 2],
    );
    const folder = join(configFolder, "hostmesh-daemon-1-containers");
    const records = JSON.parse(await readFile(join(folder, "registry.records.json"), "utf8"));
    assert.equal(records.workloads.length, 1);
    assert.equal(records.endpoints.length, 1);
  } finally {
    await rm(configFolder, { recursive: true });
  }
});

test("breaking off ends everything that was started", onLinux, async (t) => {
  if ((await findProgram("nginx")) === null) return t.skip("nginx is not installed");
  const stop = new AbortController();
  const running = measured({ peers: ["nginx"], settleMs: 600_000 }, stop.signal);
  const failed = assert.rejects(running, { name: "AbortError" });
  const children = async () => {
    const file = `/proc/${process.pid}/task/${process.pid}/children`;
    return (await readFile(file, "utf8")).trim();
  };
  await until(async () => (await children()) !== "", { timeoutMs: 20_000 });
  stop.abort();
  await failed;
  assert.equal(await children(), "");
});
