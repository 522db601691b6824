import assert from "node:assert/strict";
import { test } from "node:test";
import { GrpcMessages } from "../../src/http/grpc-messages.ts";

/** A message of so many bytes with its prefix. */
function message(bytes: number): Buffer {
  const whole = Buffer.alloc(5 + bytes, 7);
  whole[0] = bytes % 2;
  whole.writeUInt32BE(bytes, 1);
  return whole;
}

const SIZES = [0, 0, 1, 4, 5, 6, 300, 0, 70_000, 3];
const content = Buffer.concat(SIZES.map(message));

test("messages are counted by their prefixes, whatever the pieces that they come in", () => {
  for (const size of [1, 2, 3, 4, 5, 7, 64, 1_000, 16_384, content.length]) {
    const messages = new GrpcMessages();
    for (let at = 0; at < content.length; at += size) {
      messages.add(content, at, Math.min(at + size, content.length));
    }
    assert.equal(messages.count, SIZES.length, `pieces of ${size}`);
  }
});

test("a message counts when its prefix is whole", () => {
  const messages = new GrpcMessages();
  const whole = message(100);
  messages.add(whole, 0, 4);
  assert.equal(messages.count, 0);
  messages.add(whole, 4, 5);
  assert.equal(messages.count, 1);
  messages.add(whole, 5, 50);
  messages.add(whole, 50, 105);
  assert.equal(messages.count, 1);
});

test("the longest length that there can be is skipped, not summed up wrongly", () => {
  const messages = new GrpcMessages();
  messages.add(Buffer.from([0, 255, 255, 255, 255]), 0, 5);
  messages.add(Buffer.alloc(100_000), 0, 100_000);
  assert.equal(messages.count, 1);
});
