import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import { WebSocket } from "ws";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { RawClient, rawServer } from "../helpers/raw.ts";
import {
  openTunnel,
  type ServerTunnel,
  tunnelServer,
  webSocketClients,
  webSocketServer,
} from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";
import { websocketFrame } from "../helpers/websocket-frames.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

const DRAIN_MS = 1_000;
const PAIRS = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
] as const;
type Pair = (typeof PAIRS)[number];

/** A client and a server of `ws`, and what each was told at the end. */
async function setUp([clientVersion, serverVersion]: Pair) {
  const server = await webSocketServer(serverVersion, { maxPayload: 0 });
  const lab = await planeLab();
  const protocol = serverVersion === 1 ? "http" : "http2";
  lab.services(service("web", [endpoint(server.port)], { protocol }));
  const clients = clientVersion === 1 ? null : await webSocketClients(lab.port);
  closers.push(
    () => server.close(),
    () => lab.close(),
    () => clients?.close(),
  );
  const peers: WebSocket[] = [];
  server.server.on("connection", (peer) => peers.push(peer));
  const open = async (): Promise<WebSocket> => {
    const socket = new WebSocket(`ws://127.0.0.1:${clients?.port ?? lab.port}/`, {
      ...{ headers: { host: "web" }, perMessageDeflate: false, maxPayload: 0 },
    });
    socket.on("error", () => undefined);
    await once(socket, "open");
    return socket;
  };
  const near = await open();
  await until(() => peers.length === 1);
  return { lab, near, far: peers[0] as WebSocket, peers, open };
}

/** What an end is told. */
async function told(socket: WebSocket): Promise<[code: number, reason: string]> {
  const [code, reason] = await once(socket, "close");
  return [code, String(reason)];
}

const REASON = "the proxy shuts down";
const AWAY = [1001, REASON];

/** Both ends by themselves, and the tunnel between them. */
async function tunnelled([client, server]: Pair) {
  const asked = Promise.withResolvers<ServerTunnel>();
  const target = await tunnelServer(server, asked.resolve);
  const lab = await planeLab();
  const protocol = server === 1 ? "http" : "http2";
  lab.services(service("web", [endpoint(target.port)], { protocol }));
  const opening = openTunnel(client, lab.port);
  const far = (await asked.promise).accept();
  const { duplex, close } = await opening;
  closers.push(
    () => lab.close(),
    close,
    () => target.close(),
  );
  return { lab, near: read(duplex as Duplex, false), far: read(far, true) };
}

interface Reading {
  readonly stream: Duplex;
  readonly isServer: boolean;
  bytes: Buffer;
  ended: boolean;
}

function read(stream: Duplex, isServer: boolean): Reading {
  const self: Reading = { stream, isServer, bytes: Buffer.alloc(0), ended: false };
  stream.on("data", (chunk: Buffer) => {
    self.bytes = Buffer.concat([self.bytes, chunk]);
  });
  for (const event of ["end", "close"]) {
    stream.on(event, () => {
      self.ended = true;
    });
  }
  return self;
}

/** The code in our Close frame at the end of what a client (or a server, masked) got; null: there is none. */
function codeIn({ bytes, isServer }: Reading): number | null {
  const frame = bytes.subarray(-(2 + (isServer ? 4 : 0) + 2 + REASON.length));
  if (frame[0] !== 0x88 || frame[1] !== ((isServer ? 0x80 : 0) | (2 + REASON.length))) return null;
  return isServer ? frame.readUInt16BE(6) ^ frame.readUInt16BE(2) : frame.readUInt16BE(2);
}

async function drained(lab: PlaneLab): Promise<number> {
  const startMs = performance.now();
  await lab.plane.drain(DRAIN_MS);
  return performance.now() - startMs;
}

for (const pair of PAIRS) {
  describe(`at the end of a shutdown, WebSockets of HTTP/${pair[0]} clients to servers of HTTP/${pair[1]}`, () => {
    it("that are idle are closed with code 1001 at both ends, before the time is over", async () => {
      const { lab, near, far } = await setUp(pair);
      const [client, server, tookMs] = await Promise.all([told(near), told(far), drained(lab)]);
      assert.deepEqual([client, server], [AWAY, AWAY]);
      assert.ok(tookMs >= DRAIN_MS / 2 && tookMs < DRAIN_MS, `${tookMs} ms`);
      await until(() => lab.facts.length === 1);
      assert.deepEqual([lab.facts[0]?.status, lab.facts[0]?.error], [101, null]);
    });

    it("that are busy are closed between two frames", async () => {
      const { lab, near, far } = await setUp(pair);
      const sizes = [1, 200, 70_000];
      let round = 0;
      const timer = setInterval(() => {
        for (const socket of [near, far]) {
          if (socket.readyState !== WebSocket.OPEN || socket.bufferedAmount > 1_000_000) continue;
          const size = sizes[round++ % sizes.length] as number;
          socket.send("x".repeat(size), { fin: round % 2 === 0 });
        }
      }, 1);
      closers.push(() => clearInterval(timer));
      const errors: Error[] = [];
      for (const socket of [near, far]) socket.on("error", (error) => errors.push(error));
      const ends = await Promise.all([told(near), told(far), drained(lab)]);
      clearInterval(timer);
      assert.deepEqual(ends.slice(0, 2), [AWAY, AWAY]);
      assert.deepEqual(errors, []);
      assert.ok(round > 20, `${round} frames`);
    });

    it("that close by themselves are left alone", async () => {
      const { lab, near, far } = await setUp(pair);
      const draining = drained(lab);
      far.close(4_000, "done");
      assert.deepEqual(await told(near), [4_000, "done"]);
      assert.ok((await draining) < DRAIN_MS / 2, "nothing is left to be told");
    });

    it("get the Close frame when the frame that has begun is whole, and nothing behind it", async () => {
      const { lab, near, far } = await tunnelled(pair);
      const whole = websocketFrame({ opcode: 2, payload: "0123456789" }, true);
      const part = whole.subarray(0, 9);
      near.stream.write(part);
      await until(() => far.bytes.length === part.length);
      const draining = drained(lab);
      await until(() => codeIn(near) === 1001);
      assert.equal(far.bytes.length, part.length, "in the middle of a frame nothing is said");
      near.stream.write(
        Buffer.concat([whole.subarray(9), websocketFrame({ opcode: 1, payload: "late" }, true)]),
      );
      await until(() => codeIn(far) === 1001);
      assert.deepEqual(far.bytes.subarray(0, whole.length), whole);
      assert.equal(far.bytes.indexOf("late"), -1);
      near.stream.write(websocketFrame({ opcode: 8, payload: "\x03\xe9" }, true));
      far.stream.write(websocketFrame({ opcode: 8, payload: "\x03\xe9" }, false));
      await until(() => near.ended && far.ended);
      near.stream.end();
      far.stream.end();
      assert.ok((await draining) < DRAIN_MS);
      await until(() => lab.facts.length === 1);
    });

    it("that stand within a frame when the time is over are cut there", async () => {
      const { lab, near, far } = await tunnelled(pair);
      const part = websocketFrame({ opcode: 2, payload: "0123456789" }, false).subarray(0, 6);
      far.stream.write(part);
      await until(() => near.bytes.length === part.length);
      const tookMs = await drained(lab);
      assert.ok(tookMs >= DRAIN_MS, `${tookMs} ms`);
      await until(() => near.ended);
      assert.deepEqual(near.bytes, part);
      assert.equal(codeIn(far), 1001, "the other direction was told");
    });
  });
}

describe("at the end of a shutdown", () => {
  it("what is no WebSocket is not told, whatever its bytes are", async () => {
    const upstream = await rawServer((socket) =>
      socket.write("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n"),
    );
    const lab = await planeLab();
    lab.services(service("web", [endpoint(upstream.port)]));
    const client = await RawClient.open(lab.port);
    closers.push(
      () => upstream.close(),
      () => client.close(),
    );
    client.send("GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    await client.until("\r\n\r\n");
    client.received = "";
    await lab.plane.drain(200);
    assert.equal(await client.untilEnd(), "");
    assert.equal(upstream.received[0]?.includes("shuts down"), false);
  });
});
