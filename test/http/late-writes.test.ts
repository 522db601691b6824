import assert from "node:assert/strict";
import { once } from "node:events";
import { afterEach, beforeEach, describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { LateWrites, lateWrites } from "../../src/http/late-writes.ts";
import { type ConnPair, closePairs, connPair } from "../helpers/conn-pair.ts";
import { until } from "../helpers/until.ts";

/** Company, without which nothing is held back for long. */
beforeEach(async () => {
  for (let count = 0; count < 2; count++) lateWrites.add({ flush: () => undefined });
  await turn();
});
afterEach(closePairs);

/** What the peer gets. */
function received({ peer }: ConnPair): { text: string; error: Error | null } {
  const got: { text: string; error: Error | null } = { text: "", error: null };
  peer.on("data", (chunk: Buffer) => {
    got.text += chunk.toString("latin1");
  });
  peer.on("error", (error) => {
    got.error = error;
  });
  return got;
}

describe("late writes", () => {
  it("are done together when the turn ends, each once", async () => {
    const late = new LateWrites();
    const flushed: string[] = [];
    for (const name of ["a", "b", "c"]) late.add({ flush: () => void flushed.push(name) });
    assert.equal(flushed.length, 0);
    await turn();
    assert.deepEqual(flushed, ["a", "b", "c"]);
    await turn();
    assert.equal(flushed.length, 3);
    late.add({ flush: () => void flushed.push("next turn") });
    await turn();
    assert.equal(flushed[3], "next turn");
  });

  it("wait for no more than 32 of them, however long the turn is", async () => {
    const late = new LateWrites();
    let flushed = 0;
    const add = (): void => late.add({ flush: () => void flushed++ });
    for (let count = 0; count < 31; count++) add();
    assert.equal(flushed, 0);
    add();
    assert.equal(flushed, 32);
    add();
    await turn();
    assert.equal(flushed, 33);
  });
});

describe("writers that are alone", () => {
  const nothing = { flush: () => undefined };

  async function lonelyTurns(late: LateWrites, count: number): Promise<void> {
    for (let done = 0; done < count; done++) {
      late.add(nothing);
      await turn();
    }
  }

  it("hold nothing back after eight turns, but for a trial now and then", async () => {
    const late = new LateWrites();
    await lonelyTurns(late, 7);
    assert.equal(late.mayWait(), true);
    await lonelyTurns(late, 1);
    const held = Array.from({ length: 64 }, () => late.mayWait());
    assert.equal(held.indexOf(true), 63);
    await lonelyTurns(late, 1);
    assert.equal(late.mayWait(), false, "the trial met nobody");
  });

  it("hold back again once there is company", async () => {
    const late = new LateWrites();
    await lonelyTurns(late, 8);
    assert.equal(late.mayWait(), false);
    for (let count = 0; count < 2; count++) late.add(nothing);
    await turn();
    assert.equal(late.mayWait(), true);
  });
});

describe("a text on a connection", () => {
  it("waits for the end of the turn, and is counted as pending until then", async () => {
    const pair = await connPair();
    const got = received(pair);
    assert.equal(pair.conn.writeText("one "), true);
    pair.conn.writeText("two");
    assert.equal(pair.conn.pendingBytes, 7);
    assert.equal(pair.conn.socket.bytesWritten, 0);
    await turn();
    assert.equal(pair.conn.pendingBytes, 0);
    await until(() => got.text === "one two");
  });

  it("does not wait where it is long", async () => {
    const pair = await connPair();
    const got = received(pair);
    pair.conn.writeText("first");
    pair.conn.writeText("x".repeat(20_000));
    assert.equal(pair.conn.socket.bytesWritten, 20_005);
    await until(() => got.text.length === 20_005);
    assert.match(got.text, /^firstx{20000}$/);
  });

  for (const size of [10, 2_000, 10_000, 60_000]) {
    it(`keeps its place before and behind ${size} bytes that are relayed`, async () => {
      const [from, to] = [await connPair(), await connPair()];
      const got = received(to);
      const head = "h".repeat(8_000);
      from.probe.take = (chunk, end) => {
        to.conn.writeText("<");
        from.conn.relayWithHead(head, chunk, 0, end, to.conn);
        from.conn.relay(chunk, 0, end, to.conn);
        to.conn.writeText(">");
      };
      for (let round = 1; round <= 3; round++) {
        from.peer.write("b".repeat(size));
        // That of the round before ends in the same way.
        const relayed = () => got.text.replaceAll(/[^b]/g, "").length;
        await until(() => relayed() === round * 2 * size && got.text.endsWith(">"));
      }
      assert.match(got.text, /^(?:<h{8000}b+>)+$/);
    });
  }

  it("goes out before the end of its connection, whichever it is", async () => {
    for (const end of ["end", "destroy"] as const) {
      const pair = await connPair();
      const got = received(pair);
      pair.conn.writeText("last words");
      pair.conn[end]();
      await once(pair.peer, "end");
      assert.equal(got.text, "last words", end);
    }
  });

  it("is handed over before a reset", async () => {
    const pair = await connPair();
    received(pair);
    pair.conn.writeText("last words");
    pair.conn.reset();
    assert.equal(pair.conn.socket.bytesWritten, 10);
    await until(() => pair.probe.closes === 1);
  });

  it("is dropped where the connection has gone meanwhile", async () => {
    const pair = await connPair();
    pair.conn.writeText("too late");
    pair.conn.socket.destroy();
    await turn();
    await until(() => pair.probe.closes === 1);
    assert.equal(pair.probe.error, null);
  });
});
