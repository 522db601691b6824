import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import type { Conn } from "../../src/http/conn.ts";
import { acceptConn, dialConn } from "../../src/http/open-conn.ts";
import { type ConnPair, ConnProbe, closePairs, connPair } from "../helpers/conn-pair.ts";
import { until, untilStill } from "../helpers/until.ts";

afterEach(closePairs);

/** Relays everything that `from` reads to `to`. */
function join(from: ConnPair, to: ConnPair): void {
  from.probe.take = (chunk, end) => from.conn.relay(chunk, 0, end, to.conn);
}

/** Lets `from` send until `to`, whose peer does not read, holds it back. */
async function congest(from: ConnPair, to: ConnPair): Promise<void> {
  to.peer.pause();
  join(from, to);
  from.peer.write(Buffer.alloc(32_000_000, "x"));
  const read = await untilStill(() => from.probe.bytes, 50);
  assert.ok(read < 32_000_000 && to.conn.pendingBytes > 0, "held back");
}

/** Lets the peer read on, and counts what it gets: all of it, and the bytes that are not `congest`'s. */
function countAtPeer({ peer }: ConnPair): { bytes: number; wrong: number } {
  const got = { bytes: 0, wrong: 0 };
  peer.on("data", (chunk) => {
    got.bytes += chunk.length;
    for (const byte of chunk) if (byte !== 0x78) got.wrong += 1;
  });
  peer.resume();
  return got;
}

describe("a connection", () => {
  it("reads, writes, and hands the end of each direction on by itself", async () => {
    const pair = await connPair();
    let received = "";
    pair.peer.on("data", (chunk) => {
      received += chunk.toString();
    });
    pair.peer.write("hello");
    await until(() => pair.probe.text === "hello");
    pair.peer.end();
    await until(() => pair.probe.fins === 1);
    assert.equal(pair.conn.closed, false, "half-closed");
    pair.conn.writeText("bye");
    pair.conn.end();
    await once(pair.peer, "end");
    assert.equal(received, "bye");
    await until(() => pair.probe.closes === 1);
    assert.equal(pair.probe.error, null);
  });

  it("holds back what it reads while the other side does not take it, and goes on then", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    let received = 0;
    to.peer.on("data", (chunk) => {
      received += chunk.length;
    });
    to.peer.resume();
    await until(() => received === 32_000_000, { what: "all bytes" });
    from.close();
    to.close();
  });

  it("does not read while it is told to stop, and reads all of it later", async () => {
    const pair = await connPair();
    pair.conn.stopReading();
    pair.peer.write("later");
    await new Promise((resolve) => setTimeout(resolve, 30));
    assert.equal(pair.probe.text, "");
    pair.conn.resumeReading();
    await until(() => pair.probe.text === "later");
    pair.close();
  });

  it("is free for something else once its stream has ended, although the other side is slow", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    const sent = from.probe.bytes;
    from.probe.take = () => undefined;
    from.conn.endStream();
    await until(() => from.probe.bytes === 32_000_000, { what: "what comes behind the stream" });
    const got = countAtPeer(to);
    await until(() => got.bytes === sent, { what: "what the stream had carried" });
    assert.equal(got.wrong, 0);
    from.close();
    to.close();
  });

  it("keeps the bytes of a pending write whole, whatever is read meanwhile", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    const sent = from.probe.bytes;
    from.probe.take = () => undefined;
    from.conn.endStream();
    // Others stream now, and would be given the buffer that the pending write still reads from.
    const others = await Promise.all(Array.from({ length: 4 }, connPair));
    const sinks = await Promise.all(Array.from({ length: 4 }, connPair));
    for (const [index, other] of others.entries()) {
      join(other, sinks[index] as ConnPair);
      sinks[index]?.peer.resume();
      other.peer.write(Buffer.alloc(2_000_000, "y"));
    }
    await until(() => others.every((other) => other.probe.bytes === 2_000_000));
    const got = countAtPeer(to);
    await until(() => got.bytes === sent);
    assert.equal(got.wrong, 0);
    for (const pair of [from, to, ...others, ...sinks]) pair.close();
  });

  it("copies whole what is longer than a buffer of the pool", async () => {
    const [from, to] = [await connPair(), await connPair()];
    const long = Buffer.concat([Buffer.alloc(100_000, "l"), Buffer.from("end")]);
    let received = 0;
    let last = "";
    to.peer.on("data", (chunk) => {
      received += chunk.length;
      last = chunk.toString("latin1").slice(-3);
    });
    from.conn.relay(long, 0, long.length, to.conn);
    await until(() => last === "end");
    assert.equal(received, long.length);
    from.close();
    to.close();
  });

  it("takes no more memory than it writes for answers that wait", async () => {
    const [from, to] = [await connPair(), await connPair()];
    to.peer.pause();
    to.conn.writeText("f".repeat(16_000_000));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(to.conn.pendingBytes > 0);
    const small = Buffer.alloc(1_500, "s");
    const before = process.memoryUsage().arrayBuffers;
    for (let index = 0; index < 200; index += 1) {
      from.conn.relayWithHead("head", small, 0, small.length, to.conn);
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 2_000_000, `${grown} bytes for ${200 * 1_504}`);
    from.close();
    to.close();
  });

  it("goes on after a former sender to the same side has broken off", async () => {
    const [first, second, to] = [await connPair(), await connPair(), await connPair()];
    await congest(first, to);
    first.conn.destroy();
    join(second, to);
    second.peer.write(Buffer.alloc(3_000_000, "z"));
    await until(() => second.probe.bytes > 0 && first.probe.closes === 1);
    const expected = first.probe.bytes + 3_000_000;
    let received = 0;
    to.peer.on("data", (chunk) => {
      received += chunk.length;
    });
    to.peer.resume();
    await until(() => received === expected, { what: `${expected} bytes` });
    for (const pair of [first, second, to]) pair.close();
  });

  it("is gone exactly once, also when it is reset while its FIN is on the way", async () => {
    for (const finish of [
      (conn: Conn) => conn.reset(),
      (conn: Conn) => conn.destroy(),
      (conn: Conn) => {
        conn.end();
        conn.reset();
      },
      (conn: Conn) => {
        conn.writeText("x".repeat(1_000_000));
        conn.end();
        conn.reset();
      },
      (conn: Conn) => {
        conn.reset();
        conn.destroy();
        conn.reset();
        conn.end();
      },
    ]) {
      const pair = await connPair();
      finish(pair.conn);
      await until(() => pair.probe.closes === 1, { what: `the end after ${finish}` });
      assert.ok(pair.conn.closed && pair.conn.gone);
      await new Promise(setImmediate);
      assert.equal(pair.probe.closes, 1);
      pair.close();
    }
  });

  it("tells of a reset by its peer as an error", async () => {
    const pair = await connPair();
    pair.peer.resetAndDestroy();
    await until(() => pair.probe.closes === 1);
    assert.match(`${pair.probe.error}`, /ECONNRESET/);
  });

  it("lets go of whoever waits for it when it breaks", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    to.peer.resetAndDestroy();
    await until(() => from.probe.bytes === 32_000_000, { what: "reading on, into nothing" });
    assert.equal(to.probe.closes, 1);
    from.close();
  });

  it("is gone at once when it is destroyed while others wait for it, and lets them go", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    to.conn.destroy();
    await until(() => to.probe.closes === 1, { what: "the end" });
    await until(() => from.probe.bytes === 32_000_000, { what: "reading on, into nothing" });
    from.close();
  });

  it("sends whole what was pending when it was ended, and others stream meanwhile", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    const sent = from.probe.bytes;
    from.probe.take = () => undefined;
    from.conn.endStream();
    to.conn.end();
    const [other, sink] = [await connPair(), await connPair()];
    join(other, sink);
    sink.peer.resume();
    other.peer.write(Buffer.alloc(4_000_000, "y"));
    await until(() => other.probe.bytes === 4_000_000);
    const got = countAtPeer(to);
    let fins = 0;
    to.peer.on("end", () => {
      fins += 1;
    });
    await until(() => fins === 1, { what: "the FIN" });
    assert.deepEqual(got, { bytes: sent, wrong: 0 });
  });

  it("goes on behind text that was written while it waited", async () => {
    const [from, to] = [await connPair(), await connPair()];
    await congest(from, to);
    to.conn.writeText("x".repeat(1_000_000));
    const got = countAtPeer(to);
    await until(() => got.bytes === 33_000_000, { what: "all bytes" });
    assert.equal(got.wrong, 0);
    assert.equal(to.conn.pendingBytes, 0);
  });

  it("keeps the copy of a pending write whole, whatever is copied meanwhile", async () => {
    const [first, second, sink] = [await connPair(), await connPair(), await connPair()];
    first.peer.pause();
    // Until the kernel takes no more: the last copy is then pending.
    const bytes = Buffer.alloc(50_000, "x");
    let sent = 0;
    while (first.conn.pendingBytes === 0) {
      second.conn.relayWithHead("x".repeat(100), bytes, 0, bytes.length, first.conn);
      sent += 50_100;
    }
    const others = Buffer.alloc(50_000, "y");
    for (let index = 0; index < 50; index += 1) {
      second.conn.relayWithHead("y".repeat(100), others, 0, others.length, sink.conn);
    }
    const got = countAtPeer(first);
    await until(() => got.bytes === sent, { what: "all bytes" });
    assert.equal(got.wrong, 0);
  });

  it("dials, and tells of the failure to", async () => {
    const server = createServer((socket) => socket.end("hi"));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const port = (server.address() as { port: number }).port;
    const probe = new ConnProbe();
    let connected = 0;
    const conn = dialConn({ host: "127.0.0.1", port }, probe, () => {
      connected += 1;
    });
    await until(() => probe.text === "hi" && probe.fins === 1);
    assert.equal(connected, 1);
    conn.end();
    await until(() => probe.closes === 1);
    server.close();
    await once(server, "close");
    const refused = new ConnProbe();
    dialConn({ host: "127.0.0.1", port }, refused, () => assert.fail("connected"));
    await until(() => refused.closes === 1);
    assert.match(`${refused.error}`, /ECONNREFUSED/);
  });
});

/** A socket without a handle, as other runtimes have them: bytes come as `data` events. */
class HandlelessSocket extends Socket {
  written = "";
  #waiting: (() => void) | null = null;
  isSlow = false;

  override _read(): void {
    // Bytes are pushed by the test.
  }

  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.written += chunk.toString("latin1");
    if (this.isSlow) this.#waiting = done;
    else done();
  }

  override _writev(chunks: { chunk: Buffer | string }[], done: () => void): void {
    for (const { chunk } of chunks) this.written += chunk.toString("latin1");
    if (this.isSlow) this.#waiting = done;
    else done();
  }

  release(): void {
    this.isSlow = false;
    this.#waiting?.();
  }

  /** Ends the write that is pending; the next one waits again. */
  step(): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.();
  }
}

describe("a connection without a handle", () => {
  it("does the same on data events, back-pressure included", async () => {
    const [source, sink] = [new HandlelessSocket(), new HandlelessSocket()];
    const [from, to] = [new ConnProbe(), new ConnProbe()];
    const conn = acceptConn(source, from);
    const target = acceptConn(sink, to);
    from.take = (chunk, end) => conn.relay(chunk, 0, end, target);
    source.push("small");
    await until(() => sink.written === "small");
    sink.isSlow = true;
    source.push(Buffer.alloc(70_000, "a"));
    await until(() => from.bytes === 70_005);
    source.push(Buffer.alloc(70_000, "b"));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(from.bytes, 70_005, "paused");
    sink.release();
    await until(() => sink.written.length === 140_005);
    assert.match(sink.written, /^smalla{70000}b{70000}$/);
    source.push(null);
    await until(() => from.fins === 1);
    target.destroy();
    conn.destroy();
    await until(() => to.closes === 1 && from.closes === 1);
  });

  it("waits for what was written behind the write that it waits for", async () => {
    const [source, sink] = [new HandlelessSocket(), new HandlelessSocket()];
    const from = new ConnProbe();
    const conn = acceptConn(source, from);
    const target = acceptConn(sink, new ConnProbe());
    from.take = (chunk, end) => conn.relay(chunk, 0, end, target);
    sink.isSlow = true;
    source.push(Buffer.alloc(20_000, "a"));
    await until(() => from.bytes === 20_000);
    source.push("behind");
    sink.step();
    target.writeText("text");
    sink.step();
    await new Promise(setImmediate);
    assert.equal(target.pendingBytes, 4);
    assert.equal(from.bytes, 20_000, "paused");
    sink.step();
    sink.release();
    await until(() => sink.written.endsWith("behind"), { what: "reading on" });
    assert.match(sink.written, /^a{20000}textbehind$/);
    target.destroy();
    conn.destroy();
    await until(() => from.closes === 1);
  });
});
