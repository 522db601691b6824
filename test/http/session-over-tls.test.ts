import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { decryptedBuffer } from "../../src/http/decrypt-into.ts";
import { sessionOverTls } from "../../src/http/open-conn.ts";
import { ConnProbe, closePairs, connPair } from "../helpers/conn-pair.ts";
import { tlsPair } from "../helpers/tls-pair.ts";
import { until } from "../helpers/until.ts";

const closers: (() => void)[] = [];

afterEach(() => {
  closePairs();
  for (const close of closers.splice(0)) close();
});

/** A connection over TLS whose handshake is done, not yet ours, and its peer. */
async function securedPair() {
  const { secured, carrier, peer, isConnected } = await tlsPair();
  closers.push(() => {
    peer.destroy();
    secured.destroy();
  });
  await Promise.all([isConnected, once(secured, "secure")]);
  return { peer, secured, carrier };
}

/** Bytes of which each says where it stands. */
function counted(bytes: number): Buffer {
  const made = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) made.writeUInt32BE(at, at);
  return made;
}

/** Keeps copies, and what it was given. */
class Keeper extends ConnProbe {
  readonly pieces: Buffer[] = [];
  inPlace = 0;
  override take = (chunk: Buffer, end: number) => {
    if (chunk === decryptedBuffer) this.inPlace += 1;
    this.pieces.push(Buffer.from(chunk.subarray(0, end)));
  };
}

describe("a session over TLS", () => {
  it("is decrypted into one buffer, and brings every byte in order", async () => {
    const { peer, secured, carrier } = await securedPair();
    const keeper = new Keeper();
    sessionOverTls(secured, carrier, keeper);
    const content = counted(1_000_000);
    for (let at = 0; at < content.length; ) {
      const next = at + ((at * 7) % 40_000) + 1;
      peer.write(content.subarray(at, next));
      at = next;
      await turn();
    }
    await until(() => keeper.bytes === content.length);
    assert.ok(Buffer.concat(keeper.pieces).equals(content));
    assert.equal(keeper.inPlace, keeper.pieces.length, "each piece without memory of its own");
  });

  it("brings what came before it was one first", async () => {
    const { peer, secured, carrier } = await securedPair();
    peer.write("before ");
    await until(() => {
      secured.read(0);
      return secured.readableLength > 0;
    });
    const keeper = new Keeper();
    sessionOverTls(secured, carrier, keeper);
    peer.write("behind");
    await until(() => keeper.bytes === 13);
    assert.equal(Buffer.concat(keeper.pieces).toString(), "before behind");
  });

  it("hands on what it has still received behind a stop, and goes on when it is let", async () => {
    const { peer, secured, carrier } = await securedPair();
    const keeper = new Keeper();
    const conn = sessionOverTls(secured, carrier, keeper);
    const { take } = keeper;
    keeper.take = (chunk, end) => {
      take(chunk, end);
      conn.stopReading();
    };
    const content = counted(8_000_000);
    peer.write(content);
    await until(() => peer.writableLength > 0 && keeper.bytes > 0);
    const stopped = keeper.bytes;
    for (let round = 0; round < 20; round++) await turn();
    assert.ok(keeper.bytes - stopped < 200_000, "no more is taken from the socket");
    assert.ok(keeper.bytes < content.length);
    const goOn = () => conn.resumeReading();
    await until(() => {
      goOn();
      return keeper.bytes === content.length;
    });
    assert.ok(Buffer.concat(keeper.pieces).equals(content));
  });

  it("lends its buffer to nobody: what it relays to a slow peer is copied", async () => {
    const { peer, secured, carrier } = await securedPair();
    const slow = await connPair();
    const probe = new ConnProbe();
    const conn = sessionOverTls(secured, carrier, probe);
    probe.take = (chunk, end) => conn.relay(chunk, 0, end, slow.conn);
    slow.peer.pause();
    const content = counted(8_000_000);
    peer.write(content);
    await until(() => slow.conn.congested);
    const got: Buffer[] = [];
    let bytes = 0;
    slow.peer.on("data", (chunk: Buffer) => {
      got.push(chunk);
      bytes += chunk.length;
    });
    slow.peer.resume();
    await until(() => bytes === content.length);
    assert.ok(Buffer.concat(got).equals(content));
  });

  it("tells of the end", async () => {
    const { peer, secured, carrier } = await securedPair();
    const probe = new ConnProbe();
    const conn = sessionOverTls(secured, carrier, probe);
    peer.end("last");
    await until(() => probe.fins === 1);
    assert.equal(probe.text, "last");
    conn.end();
    await until(() => probe.closes === 1);
    assert.equal(probe.error, null);
  });
});
