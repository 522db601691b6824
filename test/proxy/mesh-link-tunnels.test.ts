import assert from "node:assert/strict";
import { once } from "node:events";
import type { IncomingHttpHeaders, ServerHttp2Stream } from "node:http2";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { CART, CART_1, CART_2, type LinkLab, linkLab } from "../helpers/link-lab.ts";
import { type LinkPeer, linkPeer, type OnStream, olderPeer } from "../helpers/link-peers.ts";
import { until } from "../helpers/until.ts";

interface Tunnels {
  readonly lab: LinkLab;
  readonly other: LinkPeer;
  readonly asked: IncomingHttpHeaders[];
  readonly streams: ServerHttp2Stream[];
  /** Connects as a captured client with this address. */
  open(from?: string): Socket;
}

/** Grants, and leaves the stream to the test. */
const GRANT: OnStream = (stream) => void stream.respond({ ":status": 200 });

/** A captured client of a service of opaque TCP, and a host behind whose mesh port it is. */
async function tunnels(
  t: TestContext,
  onStream: OnStream = GRANT,
  config: object = {},
): Promise<Tunnels> {
  const destination = { of: () => ({ host: "10.1.0.1", port: 5_432 }) };
  const { lab, proof } = await linkLab(t, { destination, config });
  const asked: IncomingHttpHeaders[] = [];
  const streams: ServerHttp2Stream[] = [];
  const other = await linkPeer(proof, (stream, headers) => {
    asked.push(headers);
    streams.push(stream);
    onStream(stream, headers);
  });
  t.after(() => other.close());
  lab.serve(other, [{ port: 5_432 }], { protocol: "tcp" });
  const open = (from = CART_1) => {
    const place = { port: lab.port, host: "127.0.0.1", localAddress: from };
    const socket = connect({ ...place, allowHalfOpen: true });
    t.after(() => void socket.destroy());
    return socket;
  };
  return { lab, other, asked, streams, open };
}

async function read(from: Socket | ServerHttp2Stream): Promise<string> {
  let text = "";
  for await (const chunk of from) text += chunk.toString("latin1");
  return text;
}

/** What a socket ends with: the code of its error, or "end". */
async function endOf(socket: Socket): Promise<string> {
  socket.resume();
  return await new Promise((resolve) => {
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? "?"));
    socket.on("end", () => resolve("end"));
  });
}

describe("opaque connections to another host", () => {
  test("are tunnels of HBONE on one connection, whoever of an identity opens them", async (t) => {
    const { other, asked, streams, open, lab } = await tunnels(t);
    const sockets = [open(), open(CART_2), open()];
    for (const socket of sockets) socket.write("hello");
    await until(() => streams.length === 3);
    assert.deepEqual(other.callers, [CART]);
    const [first] = asked.filter(({ forwarded }) => forwarded === `for="${CART_2}"`);
    assert.equal(first?.[":method"], "CONNECT");
    assert.equal(first?.[":authority"], "10.1.0.1:5432");
    assert.equal(first?.[":scheme"], undefined);
    assert.equal(first?.[":path"], undefined);
    assert.equal(first?.["baggage"], "k8s.namespace.name=default,service.name=cart-2");
    assert.ok(Object.keys(first ?? {}).every((name) => !name.startsWith("x-hostmesh")));
    for (const socket of sockets) socket.end();
    for (const stream of streams) stream.resume().end();
    await until(() => streams.every(({ destroyed }) => destroyed));
    await until(() => lab.facts.length === 3);
    assert.equal(other.sockets.size, 1);
  });

  test("end each direction by itself", async (t) => {
    const { streams, open } = await tunnels(t);
    const socket = open();
    socket.end("all I say");
    await until(() => streams.length === 1);
    const [stream] = streams as [ServerHttp2Stream];
    assert.equal(await read(stream), "all I say");
    stream.write("and");
    stream.end(" the answer");
    assert.equal(await read(socket), "and the answer");
  });

  test("end at the server's side first, too", async (t) => {
    const { streams, open, lab } = await tunnels(t);
    const socket = open();
    socket.write("?");
    await until(() => streams.length === 1);
    const [stream] = streams as [ServerHttp2Stream];
    const said = read(stream);
    stream.end("bye");
    assert.equal(await read(socket), "bye");
    socket.end("still here");
    assert.equal(await said, "?still here");
    await until(() => lab.facts.length === 1);
    assert.equal(lab.facts[0]?.error, null);
    assert.equal(lab.facts[0]?.requestBytes, 11);
    assert.equal(lab.facts[0]?.responseBytes, 3);
  });

  test("are reset where the stream is, and the stream where they are", async (t) => {
    const { streams, open } = await tunnels(t);
    const socket = open();
    socket.write("x");
    await until(() => streams.length === 1);
    const end = endOf(socket);
    streams[0]?.destroy(new Error("broken"));
    assert.equal(await end, "ECONNRESET");
    const another = open();
    another.write("x");
    await until(() => streams.length === 2);
    streams[1]?.resume();
    another.resetAndDestroy();
    await until(() => streams[1]?.destroyed === true);
    assert.equal(streams[1]?.rstCode, 10, "CONNECT_ERROR");
  });

  test("are reset when the connection to the other host is lost", async (t) => {
    const { other, streams, open } = await tunnels(t);
    const socket = open();
    socket.write("x");
    await until(() => streams.length === 1);
    const end = endOf(socket);
    streams[0]?.write("half of");
    await once(socket, "data");
    for (const one of other.sockets) one.resetAndDestroy();
    assert.equal(await end, "ECONNRESET");
  });

  for (const [status, code] of [
    [401, "ACCESS_DENIED"],
    [400, "MESH_REFUSED"],
    [503, "MESH_REFUSED"],
    [204, "MESH_REFUSED"],
  ] as const) {
    test(`are refused by ${status}: ${code}`, async (t) => {
      const { lab, open } = await tunnels(t, (stream) => {
        const fields = { ":status": status, "x-hostmesh-error": "because" };
        stream.respond(fields, { endStream: true });
      });
      const socket = open();
      socket.write("x");
      assert.equal(await endOf(socket), "ECONNRESET");
      await until(() => lab.facts.length === 1);
      assert.equal(lab.facts[0]?.error, code);
    });
  }

  test("wait for the answer as long as a handshake may take", async (t) => {
    const config = { timeouts: { handshakeMs: 300 } };
    const { lab, streams, open } = await tunnels(t, () => undefined, config);
    const socket = open();
    socket.write("x");
    assert.equal(await endOf(socket), "ECONNRESET");
    await until(() => lab.facts.length === 1);
    assert.equal(lab.facts[0]?.error, "MESH_REFUSED");
    await until(() => streams.length > 0 && streams.every(({ destroyed }) => destroyed));
  });

  test("hold back a server whose client does not read, and no other", async (t) => {
    const { streams, open } = await tunnels(t);
    const slow = open();
    slow.write("x");
    await until(() => streams.length === 1);
    const [stream] = streams as [ServerHttp2Stream];
    slow.pause();
    const chunk = Buffer.alloc(65_536, "s");
    let written = 0;
    while (stream.write(chunk) || stream.writableLength < 4_000_000) {
      written += chunk.length;
      if (stream.writableLength >= 4_000_000 || written > 64_000_000) break;
      await new Promise(setImmediate);
    }
    assert.ok(stream.writableLength >= 4_000_000, "the server waits");
    const quick = open();
    quick.write("y");
    await until(() => streams.length === 2);
    streams[1]?.end("z");
    assert.equal(await read(quick), "z");
    stream.end();
    slow.resume();
    let got = 0;
    for await (const part of slow) got += (part as Buffer).length;
    assert.ok(got >= written);
    assert.equal(got % chunk.length, 0);
  });

  test("do not lose what comes with the answer, nor the end of it", async (t) => {
    const { open } = await tunnels(t, (stream) => {
      stream.respond({ ":status": 200 });
      stream.end("g".repeat(100_000));
    });
    for (let count = 0; count < 10; count++) {
      const socket = open();
      socket.end();
      assert.equal((await read(socket)).length, 100_000);
    }
  });

  test("have connections of their own to a host of an older version", async (t) => {
    const server = createServer({ allowHalfOpen: true }, (one) => void one.pipe(one));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => void server.close());
    const { port: echo } = server.address() as AddressInfo;
    const destination = { of: () => ({ host: "127.0.0.1", port: echo }) };
    const { lab, proof } = await linkLab(t, { destination });
    const protocols: string[] = [];
    const other = await olderPeer(proof, { protocols });
    t.after(() => other.close());
    lab.serve(other, [{ address: "127.0.0.1", port: echo }], { protocol: "tcp" });
    for (let count = 0; count < 3; count++) {
      const socket = connect({ port: lab.port, host: "127.0.0.1", localAddress: CART_1 });
      t.after(() => void socket.destroy());
      socket.end("hello");
      assert.equal(await read(socket), "hello");
    }
    assert.deepEqual(protocols, ["tcp", "tcp", "tcp"]);
  });
});
