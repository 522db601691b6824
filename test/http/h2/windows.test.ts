import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClosedStreams } from "../../../src/http/h2/closed-streams.ts";
import { ConnectionError } from "../../../src/http/h2/errors.ts";
import { SendQueue } from "../../../src/http/h2/send-queue.ts";
import { Watch } from "../../../src/http/h2/watch.ts";
import {
  ConnectionReceiveWindow,
  ReceiveWindow,
  SendWindow,
} from "../../../src/http/h2/windows.ts";

describe("a window to send into", () => {
  it("may be negative, and grows to 2^31-1", () => {
    const window = new SendWindow(10);
    assert.ok(window.widen(-30));
    assert.equal(window.available, -20);
    assert.ok(window.widen(20 + 0x7fff_ffff));
    assert.equal(window.widen(1), false);
  });
});

describe("a window to receive into", () => {
  it("grants what was released in halves, and never more than its size", () => {
    const window = new ReceiveWindow(100);
    assert.ok(window.take(100));
    assert.equal(window.release(49), 0);
    assert.equal(window.release(1), 50);
    assert.ok(window.take(50));
    assert.equal(window.release(100), 100);
    assert.ok(window.take(100));
    assert.equal(window.take(1), false);
  });

  it("of a connection opens from the protocol's default, and holds back what is too much unread", () => {
    const window = new ConnectionReceiveWindow(200_000, 50_000);
    assert.equal(window.open(), 200_000 - 65_535);
    assert.equal(window.open(), 0);
    window.keepUnread(60_000);
    assert.equal(window.receive(60_000), 0);
    window.keepUnread(60_000);
    assert.equal(window.receive(60_000), 0);
    assert.equal(window.consume(60_000), 0, "still too much");
    assert.equal(window.consume(20_000), 120_000);
    assert.equal(window.unreadBytes, 40_000);
    assert.throws(() => window.receive(200_001), ConnectionError);
  });

  it("of a connection is never below the protocol's default", () => {
    const window = new ConnectionReceiveWindow(1_000, 50_000);
    assert.equal(window.open(), 0);
    assert.equal(window.receive(65_535), 65_535);
  });
});

describe("closed streams", () => {
  it("are remembered with their ending, the last thousand of them", () => {
    const closed = new ClosedStreams();
    assert.equal(closed.endingOf(1), "unknown");
    closed.add(1, "ended");
    closed.add(3, "reset-by-us");
    closed.add(31, "reset-by-peer");
    closed.add(999, "ended");
    assert.equal(closed.endingOf(1), "ended");
    assert.equal(closed.endingOf(3), "reset-by-us");
    assert.equal(closed.endingOf(31), "reset-by-peer");
    assert.equal(closed.endingOf(33), "unknown");
    assert.equal(closed.endingOf(999), "ended");
    closed.add(2_049, "ended");
    assert.equal(closed.endingOf(1), "unknown", "its place is taken");
    assert.equal(closed.endingOf(2_049), "ended");
    for (let id = 3; id < 2_049; id += 2) closed.add(id, "reset-by-peer");
    for (let id = 3; id < 2_049; id += 2) assert.equal(closed.endingOf(id), "reset-by-peer");
    closed.add(0x7fff_ffff, "reset-by-us");
    assert.equal(closed.endingOf(0x7fff_ffff), "reset-by-us");
  });
});

describe("a queue of content", () => {
  it("gives what it was given, counts it as the source's, and no more once it is gone", () => {
    let kept = 0;
    const share = {
      keep: (bytes: number) => {
        kept += bytes;
      },
    };
    const queue = new SendQueue(share as never);
    const chunk = Buffer.from("abcdef");
    queue.push(chunk, 1, 4);
    queue.push(chunk, 0, 0);
    queue.push(chunk, 4, 6);
    chunk.fill("x");
    const first = () => {
      const { buffer, at, end } = queue.peek();
      return buffer.toString("latin1", at, end);
    };
    assert.equal(kept, 5);
    assert.equal(first(), "bcd");
    queue.take(2);
    assert.equal(first(), "d");
    queue.take(1);
    assert.equal(first(), "ef");
    assert.equal(kept, 2);
    queue.clear();
    assert.equal(queue.bytes + kept, 0);
  });
});

describe("a watch", () => {
  it("is overdue when nothing moves for the limit, while that is waited for", () => {
    const watch = new Watch(100);
    assert.equal(watch.isOverdue(true, 1, 0), false);
    assert.equal(watch.isOverdue(true, 1, 99), false);
    assert.equal(watch.isOverdue(true, 2, 100), false, "it has moved");
    assert.equal(watch.isOverdue(true, 2, 199), false);
    assert.equal(watch.isOverdue(true, 2, 200), true);
    assert.equal(watch.isOverdue(false, 2, 300), false);
    assert.equal(watch.isOverdue(true, 2, 301), false, "it begins anew");
  });

  it("of no limit is never overdue", () => {
    const watch = new Watch(0);
    assert.equal(watch.isOverdue(true, 1, 0), false);
    assert.equal(watch.isOverdue(true, 1, 1e12), false);
  });
});
