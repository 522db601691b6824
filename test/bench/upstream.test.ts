import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { request } from "undici";
import { MAX_BODY_BYTES } from "../../bench/upstream/answers.ts";
import { listenUpstream } from "../../bench/upstream/upstream-server.ts";
import { until, untilStill } from "../helpers/until.ts";

/** Runs against an upstream, which is closed at the end. */
async function withUpstream(run: (port: number) => Promise<void>): Promise<void> {
  const upstream = await listenUpstream("127.0.0.1", 1);
  try {
    await run(upstream.ports[0] ?? 0);
  } finally {
    upstream.close();
  }
}

/** A connection, with what it has received. */
async function dial(port: number): Promise<{ socket: Socket; received: () => string }> {
  const socket = connect(port, "127.0.0.1");
  await once(socket, "connect");
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  socket.on("error", () => undefined);
  return { socket, received: () => received };
}

test("GET /N is answered with N bytes, whatever follows the number", async () => {
  await withUpstream(async (port) => {
    for (const [path, size] of [
      ...([
        ["/0", 0],
        ["/1", 1],
        ["/115?x=1", 115],
        ["/12288/a", 12_288],
        ["/12289", 12_289],
      ] as const),
      ...([
        ["/1048576", 1_048_576],
        ["/5000000", 5_000_000],
      ] as const),
    ]) {
      const { statusCode, headers, body } = await request(`http://127.0.0.1:${port}${path}`);
      assert.equal(statusCode, 200);
      assert.equal(headers["content-length"], String(size));
      assert.ok(Math.abs(Date.parse(String(headers["date"])) - Date.now()) < 60_000);
      assert.equal((await body.text()) === "x".repeat(size), true);
    }
  });
});

test("a request with a query gets a field that no other answer has", async () => {
  await withUpstream(async (port) => {
    const mark = async (path: string) =>
      (await request(`http://127.0.0.1:${port}${path}`)).headers["x-answer-id"];
    assert.equal(await mark("/1"), undefined);
    const marks = [await mark("/1?a"), await mark("/1?a")];
    assert.ok(marks.every((one) => typeof one === "string"));
    assert.notEqual(marks[0], marks[1]);
  });
});

test("a body of a request is read, and then the answer comes", async () => {
  await withUpstream(async (port) => {
    for (const bodyBytes of [0, 1, 200_000]) {
      const { statusCode, body } = await request(`http://127.0.0.1:${port}/7`, {
        method: "POST",
        body: "y".repeat(bodyBytes),
      });
      assert.equal(statusCode, 200);
      assert.equal(await body.text(), "xxxxxxx");
    }
    const { socket, received } = await dial(port);
    socket.write("POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nab");
    socket.write("");
    const other = await request(`http://127.0.0.1:${port}/2`);
    assert.equal(await other.body.text(), "xx");
    assert.equal(received(), "");
    socket.write("c");
    await until(() => received().endsWith("\r\n\r\nx"));
    socket.destroy();
  });
});

test("requests may come in pieces or several at once", async () => {
  await withUpstream(async (port) => {
    const { socket, received } = await dial(port);
    const heads = [3, 300_000, 4].map((size) => `GET /${size} HTTP/1.1\r\nHost: web\r\n\r\n`);
    const bodies = () => received().split(/HTTP\/1.1 200 OK\r\n(?:[^\r]+\r\n)+\r\n/);
    const wanted = [0, 3, 300_000, 4];
    socket.write(heads.join(""));
    await until(
      () =>
        bodies()
          .map((body) => body.length)
          .join() === wanted.join(),
    );
    socket.setNoDelay(true);
    for (const byte of heads.join("")) {
      socket.write(byte);
      await new Promise(setImmediate);
    }
    const twice = [...wanted, ...wanted.slice(1)];
    await until(
      () =>
        bodies()
          .map((body) => body.length)
          .join() === twice.join(),
    );
    socket.destroy();
  });
});

test("lines of raw TCP are answered with bytes only", async () => {
  await withUpstream(async (port) => {
    const { socket, received } = await dial(port);
    socket.write("3\n");
    await until(() => received() === "xxx");
    socket.write("2\n1");
    await until(() => received().length === 5);
    socket.write("00000\n");
    await until(() => received().length === 100_005);
    socket.end("4\n");
    await until(() => received().length === 100_009);
  });
});

test("who does not read is not read from, and others are served", async () => {
  await withUpstream(async (port) => {
    const { socket } = await dial(port);
    socket.pause();
    // All pieces together are more than the kernel keeps on both sides.
    const pieces = 1_000;
    const piece = "GET /12000 HTTP/1.1\r\n\r\n".repeat(3_000);
    let accepted = 0;
    const next = (): void => {
      if (accepted < pieces) socket.write(piece, () => next());
      accepted++;
    };
    next();
    await untilStill(() => accepted, 500);
    assert.ok(accepted < pieces);
    const { body } = await request(`http://127.0.0.1:${port}/100000`);
    assert.equal((await body.arrayBuffer()).byteLength, 100_000);
    socket.destroy();
  });
});

test("nonsense is refused and the connection closed", async () => {
  await withUpstream(async (port) => {
    const refused: [string, RegExp][] = [
      ["GET /x HTTP/1.1\r\n\r\n", /^HTTP\/1.1 404 /],
      [`GET /${MAX_BODY_BYTES + 1} HTTP/1.1\r\n\r\n`, /^HTTP\/1.1 404 /],
      ["\u0016\u0003\u0001 hello\r\n\r\n", /^HTTP\/1.1 400 /],
      [`GET /1 HTTP/1.1\r\nX: ${"x".repeat(80_000)}`, /^HTTP\/1.1 400 /],
      ["POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", /^HTTP\/1.1 411 /],
      ["1x\n", /^$/],
      [`1${"0".repeat(50)}`, /^$/],
      [`${MAX_BODY_BYTES + 1}\n`, /^$/],
    ];
    for (const [text, answer] of refused) {
      const { socket, received } = await dial(port);
      const closed = once(socket, "close");
      socket.write(text, "latin1");
      await closed;
      assert.match(received(), answer, text.slice(0, 40));
    }
  });
});
