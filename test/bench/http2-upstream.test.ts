import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectHttp2, type IncomingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { test } from "node:test";
import { askHttp2 } from "../../bench/contestants/probe-http2.ts";
import { listenUpstream } from "../../bench/upstream/upstream-server.ts";
import { until } from "../helpers/until.ts";

async function withUpstream(run: (port: number) => Promise<void>): Promise<void> {
  const upstream = await listenUpstream("127.0.0.1", 1);
  try {
    await run(upstream.ports[0] ?? 0);
  } finally {
    upstream.close();
  }
}

/** One request by Node's own client, with windows of a size. */
async function ask(
  port: number,
  fields: Readonly<Record<string, string>>,
  { content = null, windowBytes = 65_535 }: { content?: string | null; windowBytes?: number } = {},
) {
  const session = connectHttp2(`http://127.0.0.1:${port}`, {
    settings: { initialWindowSize: windowBytes },
  });
  try {
    const stream = session.request(fields);
    if (content === null) stream.end();
    else stream.end(content);
    let trailers: IncomingHttpHeaders = {};
    stream.once("trailers", (got) => {
      trailers = got;
    });
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    return { head, body: Buffer.concat(parts), trailers };
  } finally {
    session.close();
  }
}

test("over HTTP/2 a path with a number gets so many bytes, whatever the windows are", async () => {
  await withUpstream(async (port) => {
    for (const windowBytes of [1, 100, 65_535, 1_000_000]) {
      for (const size of [0, 1, 115, 12_289, 70_000]) {
        if (windowBytes === 1 && size > 200) continue;
        const { head, body } = await ask(port, { ":path": `/${size}` }, { windowBytes });
        assert.equal(head[":status"], 200);
        assert.equal(head["content-length"], String(size));
        assert.ok(Math.abs(Date.parse(String(head.date)) - Date.now()) < 60_000);
        assert.equal(body.toString() === "x".repeat(size), true, `${size} by ${windowBytes}`);
      }
    }
  });
});

test("a gRPC call gets one message, and its status in trailers", async () => {
  await withUpstream(async (port) => {
    const call = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
    for (const windowBytes of [7, 65_535]) {
      for (const size of [0, 115, 100_000]) {
        const fields = { ...call, ":path": `/bench.Load/Bytes${size}` };
        const { head, body, trailers } = await ask(port, fields, { content: "hello", windowBytes });
        assert.equal(head["content-type"], "application/grpc");
        assert.deepEqual([body[0], body.readUInt32BE(1), body.length], [0, size, 5 + size]);
        assert.equal(trailers["grpc-status"], "0");
      }
    }
  });
});

test("a stream of gRPC has as many messages, and leaves message by message", async () => {
  await withUpstream(async (port) => {
    const call = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
    for (const windowBytes of [7, 65_535]) {
      for (const size of [0, 115, 20_000]) {
        const fields = { ...call, ":path": `/bench.Load/Server3x${size}` };
        const { body, trailers } = await ask(port, fields, { content: "hello", windowBytes });
        assert.equal(body.length, 3 * (5 + size));
        for (const at of [0, 1, 2]) {
          assert.deepEqual(
            [body[at * (5 + size)], body.readUInt32BE(at * (5 + size) + 1)],
            [0, size],
          );
        }
        assert.equal(trailers["grpc-status"], "0");
      }
    }
    await assert.rejects(ask(port, { ":path": "/x/Server3x5" }), /NGHTTP2_PROTOCOL_ERROR/);
  });
});

test("each message of a call is answered as it comes, in whatever pieces", async () => {
  await withUpstream(async (port) => {
    const call = { ":method": "POST", "content-type": "application/grpc", te: "trailers" };
    const session = connectHttp2(`http://127.0.0.1:${port}`);
    try {
      const stream = session.request({ ...call, ":path": "/bench.Load/Each3" });
      let received = 0;
      stream.on("data", (data: Buffer) => {
        received += data.length;
      });
      // A message of two bytes, octet by octet, and one of none together with the half of another.
      for (const [octet, expected] of [
        ...[0, 0, 0, 0, 2, 9].map((one) => [one, 0] as const),
        [9, 8] as const,
      ]) {
        stream.write(Buffer.from([octet]));
        await until(() => received === expected, { what: `${expected} octets` });
      }
      stream.write(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]));
      await until(() => received === 16, { what: "the second answer" });
      const trailers = once(stream, "trailers") as Promise<[IncomingHttpHeaders]>;
      stream.end(Buffer.from([7]));
      const [{ "grpc-status": status }] = await trailers;
      assert.deepEqual([status, received], ["0", 24]);
    } finally {
      session.destroy();
    }
  });
});

test("content of a request over HTTP/2 is read, however much it is", async () => {
  await withUpstream(async (port) => {
    const content = "y".repeat(1_000_000);
    const { body } = await ask(port, { ":method": "POST", ":path": "/3" }, { content });
    assert.equal(body.toString(), "xxx");
  });
});

test("a path without a number is reset, and a marked one gets a field that no other answer has", async () => {
  await withUpstream(async (port) => {
    await assert.rejects(ask(port, { ":path": "/none" }), /NGHTTP2_PROTOCOL_ERROR/);
    const marks = new Set<unknown>();
    for (let at = 0; at < 2; at++) {
      marks.add((await ask(port, { ":path": "/1?a" })).head["x-answer-id"]);
    }
    assert.equal(marks.size, 2);
  });
});

test("a preface that comes byte by byte is one, and what is no HTTP/2 behind it ends the connection", async () => {
  await withUpstream(async (port) => {
    const socket = connect({ port, host: "127.0.0.1", noDelay: true });
    let received = 0;
    socket.on("data", (data: Buffer) => {
      received += data.length;
    });
    for (const byte of "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0") {
      socket.write(byte, "latin1");
      await new Promise(setImmediate);
    }
    await until(() => received === 18, { what: "its settings, and that ours are read" });
    const closed = once(socket, "close");
    socket.on("error", () => undefined);
    socket.write("\0\0\x05\x06\0\0\0\0\0hello", "latin1");
    await closed;
  });
});

test("the probe tells a whole answer from another", async () => {
  await withUpstream(async (port) => {
    const target = { host: "127.0.0.1", port, authority: "web-0", connect: false };
    for (const protocol of ["http2", "grpc"] as const) {
      const question = { protocol, bodyBytes: 1_024, timeoutMs: 5_000 };
      assert.equal(await askHttp2(target, question), null);
      const nobody = await askHttp2({ ...target, port: 1 }, question);
      assert.match(nobody ?? "", /ECONNREFUSED/);
    }
    const question = { protocol: "grpc", bodyBytes: 1_024, timeoutMs: 5_000 } as const;
    for (const call of ["server", "bidi"] as const) {
      assert.equal(await askHttp2(target, { ...question, shape: { call, messages: 5 } }), null);
    }
  });
});
