import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { seeded } from "../../../src/core/random.ts";
import type { Share } from "../../../src/core/share.ts";
import type { Conn } from "../../../src/http/conn.ts";
import { CLIENT_PREFACE } from "../../../src/http/h2/codes.ts";
import { FrameReader } from "../../../src/http/h2/frame-reader.ts";
import { HpackDecoder } from "../../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../../src/http/h2/hpack/encoder.ts";
import { Outbox } from "../../../src/http/h2/outbox.ts";
import { connOverTls, dialConn } from "../../../src/http/open-conn.ts";
import { type ConnPair, ConnProbe, closePairs, connPair } from "../../helpers/conn-pair.ts";
import { FrameLog, frame } from "../../helpers/h2-frames.ts";
import { tlsPair } from "../../helpers/tls-pair.ts";
import { until, untilStill } from "../../helpers/until.ts";

/** Ends what a test opened besides pairs, also if it failed. */
const closers: (() => void)[] = [];

afterEach(() => {
  closePairs();
  for (const close of closers.splice(0)) close();
});

const LIMITS = { frameBytes: 16_777_215, blockBytes: 1_000_000, continuations: 1_000 };
const FULL_FRAME = Buffer.alloc(16_384, "x");

/** What arrives at the peer, as bytes. */
function received(peer: Socket): { bytes: number; all: () => Buffer } {
  const chunks: Buffer[] = [];
  const got = { bytes: 0, all: () => Buffer.concat(chunks) };
  peer.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    got.bytes += chunk.length;
  });
  return got;
}

/** What a reader at the peer tells. */
function readAt<Log extends FrameLog>(peer: Socket, log: Log): Log {
  const reader = new FrameReader(log, LIMITS);
  peer.on("data", (chunk: Buffer) => reader.read(chunk, 0, chunk.length));
  return log;
}

/** Counts content, which is all of one letter, in place of writing it down piece by piece. */
class ContentCount extends FrameLog {
  bytes = 0;
  wrong = 0;
  isOver = false;

  override onData(
    _streamId: number,
    chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void {
    this.bytes += flowBytes;
    if (!chunk.subarray(start, end).equals(FULL_FRAME.subarray(0, end - start))) this.wrong += 1;
    this.isOver ||= last;
  }
}

/** Notes the size of every write of a connection that has content. */
function countWrites({ socket }: Conn): number[] {
  const sizes: number[] = [];
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean;
  socket.write = (...args: unknown[]) => {
    const { length } = args[0] as Buffer;
    if (length > 0) sizes.push(length);
    return write(...args);
  };
  return sizes;
}

/** Counts what is kept in memory for it. */
class CountingShare implements Share {
  kept = 0;
  most = 0;
  readonly full = false;

  tryBegin(): boolean {
    return true;
  }

  spend(): boolean {
    return true;
  }

  wait(): void {}

  keep(bytes: number): void {
    this.kept += bytes;
    this.most = Math.max(this.most, this.kept);
  }

  waitForRoom(): void {}
}

/** Sends full frames until the kernel takes no more and the connection is congested. */
async function congest(outbox: Outbox): Promise<number> {
  let frames = 0;
  while (!outbox.congested) {
    assert.ok(frames < 10_000, "the kernel takes it all");
    outbox.data(1, FULL_FRAME, 0, FULL_FRAME.length, false);
    frames += 1;
    if (frames % 8 === 0) await turn();
  }
  return frames;
}

/** A pair whose peer does not read. */
async function deafPair(): Promise<ConnPair & { outbox: Outbox; share: CountingShare }> {
  const pair = await connPair();
  const share = new CountingShare();
  pair.conn.share = share;
  pair.peer.pause();
  return { ...pair, outbox: new Outbox(pair.conn), share };
}

describe("the outbox writes", () => {
  it("every frame as RFC 9113 says", async () => {
    const { conn, peer } = await connPair();
    const got = received(peer);
    const outbox = new Outbox(conn);
    outbox.settings([
      [1, 4_096],
      [4, 0x7fff_ffff],
    ]);
    outbox.settings([]);
    outbox.settingsAck();
    outbox.headers(5, [":status", "200"], new HpackEncoder(), false, 16_384);
    outbox.headers(5, [":status", "200"], new HpackEncoder(), true, 16_384);
    outbox.data(5, Buffer.from("..hello.."), 2, 7, false);
    outbox.data(0x7fff_ffff, Buffer.from(""), 0, 0, true);
    outbox.reset(7, 0xffff_ffff);
    outbox.ping(false, Buffer.from("0102030405060708", "hex"));
    outbox.ping(true, Buffer.from("xxabcdefghyy"), 2);
    outbox.goaway(0x7fff_ffff, 11, "calm\xe9");
    outbox.goaway(0, 0, "d".repeat(300));
    outbox.windowUpdate(0, 1);
    outbox.windowUpdate(3, 0x7fff_ffff);
    const wanted = Buffer.concat([
      Buffer.from("00000c040000000000" + "000100001000" + "00047fffffff", "hex"),
      Buffer.from("000000040000000000", "hex"),
      Buffer.from("000000040100000000", "hex"),
      Buffer.from("000001010400000005" + "88", "hex"),
      Buffer.from("000001010500000005" + "88", "hex"),
      Buffer.from("000005000000000005" + "68656c6c6f", "hex"),
      Buffer.from("00000000017fffffff", "hex"),
      Buffer.from("000004030000000007" + "ffffffff", "hex"),
      Buffer.from("000008060000000000" + "0102030405060708", "hex"),
      Buffer.from("000008060100000000" + "6162636465666768", "hex"),
      Buffer.from("00000d070000000000" + "7fffffff" + "0000000b" + "63616c6de9", "hex"),
      frame(7, 0, 0, `${"\0".repeat(8)}${"d".repeat(256)}`),
      Buffer.from("000004080000000000" + "00000001", "hex"),
      Buffer.from("000004080000000003" + "7fffffff", "hex"),
    ]);
    assert.equal(outbox.pendingBytes, wanted.length);
    await until(() => got.bytes >= wanted.length);
    assert.equal(got.all().toString("hex"), wanted.toString("hex"));
    assert.equal(outbox.pendingBytes, 0);
  });

  it("all frames of a turn at once behind it, whichever stream they are of", async () => {
    const { conn, peer } = await connPair();
    const got = received(peer);
    const writes = countWrites(conn);
    const outbox = new Outbox(conn);
    for (let round = 1; round <= 12; round++) {
      for (const streamId of [1, 3, 5]) outbox.data(streamId, FULL_FRAME, 0, 10, false);
      assert.equal(writes.length, round - 1);
      await until(() => writes.length === round);
      assert.deepEqual(writes, new Array(round).fill(3 * 19));
    }
    await until(() => got.bytes === 12 * 3 * 19);
  });

  it("full buffers before the end of the turn, across frames", async () => {
    const { conn, peer } = await connPair();
    const log = readAt(peer, new FrameLog({ joins: true }));
    const writes = countWrites(conn);
    const outbox = new Outbox(conn);
    for (let count = 0; count < 8; count++) outbox.data(1, FULL_FRAME, 0, 16_384, count === 7);
    assert.deepEqual(writes, [61_440, 61_440]);
    assert.equal(outbox.congested, false, "the kernel has them");
    await until(() => log.lines.at(-1)?.endsWith("last") === true);
    assert.deepEqual(log.lines, [`data 1 "${"x".repeat(8 * 16_384)}" flow ${8 * 16_384} last`]);
  });

  it("at once what is flushed, and nothing twice", async () => {
    const { conn, peer } = await connPair();
    const got = received(peer);
    const writes = countWrites(conn);
    const outbox = new Outbox(conn);
    outbox.flush();
    outbox.settingsAck();
    outbox.flush();
    assert.deepEqual(writes, [9]);
    outbox.settingsAck();
    await until(() => got.bytes === 18);
    assert.deepEqual(writes, [9, 9]);
  });

  it("bytes that are only valid during the call", async () => {
    const { conn, peer } = await connPair();
    const log = readAt(peer, new FrameLog({ joins: true }));
    const outbox = new Outbox(conn);
    const chunk = Buffer.alloc(200_000, "a");
    outbox.data(1, chunk, 0, 3, false);
    outbox.data(1, chunk, 0, 16_384, true);
    outbox.ping(false, chunk, 8);
    chunk.fill("b");
    await until(() => log.lines.length === 2);
    assert.deepEqual(log.lines, [
      `data 1 "${"a".repeat(16_387)}" flow 16387 last`,
      "ping 6161616161616161",
    ]);
  });

  it("behind a preface, in order", async () => {
    const { conn, peer } = await connPair();
    const got = received(peer);
    conn.writeText(CLIENT_PREFACE);
    const outbox = new Outbox(conn);
    outbox.settings([]);
    await until(() => got.bytes === 33);
    assert.equal(got.all().toString("latin1", 0, 24), CLIENT_PREFACE);
  });

  it("for more connections in one turn than wait for its end together", async () => {
    const pairs = await Promise.all(Array.from({ length: 70 }, () => connPair()));
    const logs = pairs.map(({ peer }) => readAt(peer, new FrameLog({ joins: true })));
    const outboxes = pairs.map(({ conn }) => new Outbox(conn));
    for (const outbox of outboxes) outbox.settingsAck();
    for (const outbox of outboxes) outbox.windowUpdate(0, 9);
    await until(() => logs.every((log) => log.lines.length === 2));
  });

  it("to a connection that does not stand yet", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    closers.push(() => server.close());
    const { port } = server.address() as AddressInfo;
    const accepted = once(server, "connection") as Promise<[Socket]>;
    const probe = new ConnProbe();
    const conn = dialConn({ host: "127.0.0.1", port }, probe, () => undefined);
    closers.push(() => conn.destroy());
    const outbox = new Outbox(conn);
    outbox.settingsAck();
    outbox.flush();
    assert.equal(outbox.pendingBytes, 9);
    outbox.windowUpdate(0, 7);
    const [peer] = await accepted;
    const log = readAt(peer, new FrameLog({ joins: true }));
    await until(() => log.lines.length === 2);
    assert.deepEqual(log.lines, ["settings ack", "window 0 7"]);
    assert.ok(probe.drains > 0, "tells that all is out");
    peer.destroy();
  });
});

describe("field blocks", () => {
  /** Sends the fields and reads them back; the sizes of the frames that carried them. */
  async function roundTrip(fields: string[], frameBytes: number): Promise<number[]> {
    const { conn, peer } = await connPair();
    const got = received(peer);
    const encoder = new HpackEncoder();
    const outbox = new Outbox(conn);
    outbox.data(1, FULL_FRAME, 0, 9_000, false);
    outbox.headers(1, fields, encoder, true, frameBytes);
    outbox.settingsAck();
    const size = outbox.pendingBytes;
    await untilStill(() => got.bytes, 30);
    assert.ok(got.bytes >= size);
    const decoder = new HpackDecoder({ tableBytes: 4_096, listBytes: 10_000_000, fields: 1_000 });
    const log = new FrameLog();
    let found: readonly string[] = [];
    log.onHeaders = (streamId, block, start, end, last) => {
      assert.deepEqual([streamId, last], [1, true]);
      found = decoder.decode(block, start, end);
    };
    const bytes = got.all();
    new FrameReader(log, LIMITS).read(bytes, 0, bytes.length);
    assert.deepEqual(found, fields);
    assert.equal(log.lines.at(-1), "settings ack");
    const sizes: number[] = [];
    for (let at = 0; at < bytes.length; at += 9 + sizes.at(-1)!)
      sizes.push(bytes.readUIntBE(at, 3));
    return sizes.slice(1, -1);
  }

  const fields = (bytes: number) => [":status", "200", "x-a", "v".repeat(bytes), "x-end", "1"];

  it("are one frame where the peer takes it", async () => {
    assert.equal((await roundTrip(fields(100), 16_384)).length, 1);
    assert.equal((await roundTrip(fields(60_000), 1_000_000)).length, 1);
    assert.equal((await roundTrip(fields(200_000), 1_000_000)).length, 1);
  });

  it("are split into CONTINUATION at the peer's frame size", async () => {
    const sizes = await roundTrip(fields(40_000), 16_384);
    assert.deepEqual(sizes.slice(0, -1), [16_384, 16_384]);
    assert.ok(sizes.at(-1)! > 0 && sizes.at(-1)! < 16_384);
    assert.equal((await roundTrip(fields(200_000), 16_384)).length, 13);
  });

  it("that just fill their frame have no CONTINUATION", async () => {
    const [size] = await roundTrip(fields(20_000), 100_000);
    assert.deepEqual(await roundTrip(fields(20_000), size!), [size]);
    assert.deepEqual(await roundTrip(fields(20_000), size! - 1), [size! - 1, 1]);
  });

  it("may be empty", async () => {
    assert.deepEqual(await roundTrip([], 16_384), [0]);
  });
});

describe("a round trip from the outbox to the reader", () => {
  it("says the same, over a socket", async () => {
    const { conn, peer } = await connPair();
    const log = readAt(peer, new FrameLog({ joins: true }));
    const direct = new FrameLog({ joins: true });
    const outbox = new Outbox(conn);
    const random = seeded(9);
    const below = (limit: number) => Math.floor(random() * limit);
    for (let count = 0; count < 3_000; count++) {
      const streamId = 1 + 2 * below(50);
      const start = below(100);
      const end = start + below(random() < 0.1 ? 16_284 : 300);
      const value = below(0x7fff_ffff);
      switch (below(7)) {
        case 0:
          outbox.ping(true, FULL_FRAME, 0);
          direct.onPing(true, FULL_FRAME, 0);
          break;
        case 1:
          outbox.reset(streamId, value);
          direct.onReset(streamId, value);
          break;
        case 2:
          outbox.windowUpdate(streamId, value);
          direct.onWindowUpdate(streamId, value);
          break;
        case 3:
          outbox.settings([[streamId, value]]);
          direct.onSettings([streamId], [value]);
          break;
        case 4:
          outbox.goaway(value, 2, "why");
          direct.onGoaway(value, 2, "why");
          break;
        default:
          outbox.data(streamId, FULL_FRAME, start, end, false);
          direct.onData(streamId, FULL_FRAME, start, end, end - start, false);
      }
      if (below(20) === 0) await turn();
    }
    await until(() => log.lines.length >= direct.lines.length);
    assert.deepEqual(log.lines, direct.lines);
    assert.equal(outbox.pendingBytes, 0);
  });
});

describe("a peer that does not read", () => {
  it("holds back, and all of it comes in order once it reads, with a drain at the end", async () => {
    const { outbox, peer, probe, share } = await deafPair();
    const frames = await congest(outbox);
    await turn();
    assert.ok(outbox.pendingBytes >= 65_536 && outbox.pendingBytes < 300_000);
    assert.ok(share.kept >= outbox.pendingBytes, "its memory is counted");
    assert.equal(probe.drains, 0);
    const log = readAt(peer, new ContentCount());
    peer.resume();
    outbox.ping(true, FULL_FRAME, 0);
    await until(() => log.lines.length === 1);
    assert.deepEqual([log.bytes, log.wrong], [frames * 16_384, 0]);
    await until(() => probe.drains > 0);
    assert.deepEqual([outbox.congested, outbox.pendingBytes, share.kept], [false, 0, 0]);
  });

  it("costs what small frames have in bytes, and not a buffer a turn", async () => {
    const { outbox, conn, peer, share } = await deafPair();
    await congest(outbox);
    await turn();
    const [kept, pending] = [share.kept, outbox.pendingBytes];
    const writes = countWrites(conn);
    for (let count = 0; count < 200; count++) {
      outbox.ping(true, FULL_FRAME, 0);
      await turn();
    }
    assert.deepEqual(writes, []);
    assert.equal(outbox.pendingBytes, pending + 200 * 17);
    assert.ok(share.kept <= kept + 65_536);
    const log = readAt(peer, new ContentCount());
    peer.resume();
    await until(() => log.lines.length === 200);
    await until(() => share.kept === 0);
    assert.equal(writes.length, 1);
  });

  it("gets all of a long transfer that goes on whenever it drains", async () => {
    const { outbox, peer, probe } = await deafPair();
    let left = 2_000;
    let most = 0;
    const go = () => {
      while (left > 0 && !outbox.congested) {
        outbox.data(1, FULL_FRAME, 0, 16_384, left === 1);
        left -= 1;
        most = Math.max(most, outbox.pendingBytes);
      }
    };
    probe.onDrain = go;
    go();
    await turn();
    assert.ok(left > 0, "held back");
    const log = new ContentCount();
    const reader = new FrameReader(log, LIMITS);
    peer.on("data", (chunk: Buffer) => {
      reader.read(chunk, 0, chunk.length);
      peer.pause();
      setImmediate(() => peer.resume());
    });
    peer.resume();
    await until(() => log.isOver);
    assert.deepEqual([log.bytes, log.wrong], [2_000 * 16_384, 0]);
    assert.ok(most < 200_000, `${most} bytes waited`);
  });

  it("leaves nothing behind when it goes, and frames for it are dropped", async () => {
    const { outbox, conn, peer, probe, share } = await deafPair();
    await congest(outbox);
    await turn();
    outbox.ping(true, FULL_FRAME, 0);
    peer.resetAndDestroy();
    await until(() => probe.closes === 1);
    for (let count = 0; count < 10; count++) outbox.data(1, FULL_FRAME, 0, 16_384, false);
    await turn();
    await until(() => share.kept === 0);
    assert.deepEqual([conn.closed, outbox.congested], [true, false]);
    assert.equal(outbox.pendingBytes, conn.pendingBytes, "nothing is gathered");
  });

  it("is told the end behind all that was flushed, and nothing after it", async () => {
    const { outbox, conn, peer, probe, share } = await deafPair();
    const frames = await congest(outbox);
    outbox.goaway(1, 0, "bye");
    outbox.flush();
    conn.end();
    outbox.settingsAck();
    await turn();
    outbox.settingsAck();
    outbox.flush();
    const log = readAt(peer, new ContentCount());
    peer.resume();
    await once(peer, "end");
    assert.deepEqual([log.bytes, log.wrong], [frames * 16_384, 0]);
    assert.deepEqual(log.lines, ['goaway 1 0 "bye"']);
    peer.end();
    await until(() => probe.closes === 1);
    assert.deepEqual([probe.error, share.kept], [null, 0]);
  });
});

describe("over TLS", () => {
  /** An outbox over TLS and the decrypting peer. */
  async function outboxOverTls() {
    const { secured, carrier, peer, isConnected } = await tlsPair();
    const probe = new ConnProbe();
    const conn = connOverTls(secured, carrier, probe);
    closers.push(() => {
      peer.destroy();
      conn.destroy();
    });
    await isConnected;
    const share = new CountingShare();
    conn.share = share;
    return { outbox: new Outbox(conn), conn, peer, probe, share };
  }

  it("all frames come, those of a slow peer when it reads, and no buffer stays", async () => {
    const { outbox, peer, probe, share } = await outboxOverTls();
    outbox.settingsAck();
    const log = readAt(peer, new ContentCount());
    await until(() => log.lines.length === 1);
    peer.pause();
    let left = 1_000;
    const go = () => {
      for (; left > 0 && !outbox.congested; left--) {
        outbox.data(1, FULL_FRAME, 0, 16_384, left === 1);
      }
    };
    probe.onDrain = go;
    go();
    const held = await untilStill(() => left, 50);
    assert.ok(held > 0, "held back");
    assert.ok(outbox.pendingBytes >= 65_536 && outbox.pendingBytes < 200_000);
    peer.resume();
    await until(() => log.isOver);
    assert.deepEqual([log.bytes, log.wrong], [16_384_000, 0]);
    await until(() => share.kept === 0);
    assert.equal(outbox.pendingBytes, 0);
  });

  it("frames of a turn are one write, in every turn", async () => {
    const { outbox, conn, peer, share } = await outboxOverTls();
    const log = readAt(peer, new ContentCount());
    const writes = countWrites(conn);
    for (let round = 0; round < 50; round++) {
      for (let count = 0; count < 3; count++) outbox.ping(false, FULL_FRAME, 0);
      await turn();
    }
    await until(() => log.lines.length === 150);
    assert.ok(writes.length <= 50);
    await until(() => share.kept === 0);
  });
});
