import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HpackDecoder } from "../../../../src/http/h2/hpack/decoder.ts";
import { HpackEncoder } from "../../../../src/http/h2/hpack/encoder.ts";
import { decode, encode, indexed, LIMITS, literal, sizeUpdate, tableOf } from "./blocks.ts";

/** Encodes, and has it decoded by the peer, so that both tables move on. */
function pair(options: { tableBytes?: number } = {}) {
  const encoder = new HpackEncoder(options);
  const decoder = new HpackDecoder({ ...LIMITS, tableBytes: 65_536 });
  const send = (...fields: string[]): Buffer => {
    const block = encode(encoder, fields);
    assert.deepEqual(decode(decoder, block), fields);
    return block;
  };
  return { encoder, decoder, send };
}

test("sends what is in the static table as one octet", () => {
  const { send, decoder } = pair();
  assert.deepEqual(
    send(
      ":method",
      "POST",
      ":scheme",
      "https",
      ":path",
      "/",
      ":status",
      "404",
      "accept-encoding",
      "gzip, deflate",
    ),
    Buffer.concat([3, 7, 4, 13, 16].map(indexed)),
  );
  assert.deepEqual(tableOf(decoder), []);
});

test("puts a field of an unknown name into the table at once, and refers to it then", () => {
  const { send } = pair();
  assert.deepEqual(send("x-team", "blue"), literal("incremental", "x-team", "blue"));
  assert.deepEqual(send("x-team", "blue"), indexed(62));
});

test("puts a field of a static name into the table when its value comes again", () => {
  const { send } = pair();
  assert.deepEqual(send("user-agent", "curl"), literal("plain", 58, "curl"));
  assert.deepEqual(send("user-agent", "curl"), literal("incremental", 58, "curl"));
  assert.deepEqual(send("user-agent", "curl"), indexed(62));
});

test("keeps values that are never the same twice out of the table, but for the name", () => {
  const { send, decoder } = pair();
  for (const name of ["x-request-id", "traceparent", "x-user"]) send(name, "value-0");
  for (let at = 1; at < 20; at++) {
    const value = `value-${at}`;
    const block = send(
      "x-user",
      value,
      ":path",
      `/${at}`,
      "date",
      value,
      "content-length",
      `${at}`,
    );
    assert.equal(block[0], 0x0f, "the name of x-user is a reference");
  }
  assert.deepEqual(tableOf(decoder), [
    "x-user: value-0",
    "traceparent: value-0",
    "x-request-id: value-0",
  ]);
});

test("keeps what varies by its nature out of the table, even if it comes again, but for the name", () => {
  const { send, decoder } = pair();
  for (let times = 0; times < 4; times++) {
    send("date", "now", "content-length", "5", "etag", "e", ":path", "/?q=1");
  }
  for (let times = 0; times < 4; times++) send("traceparent", times < 2 ? "a" : "b");
  assert.deepEqual(tableOf(decoder), ["traceparent: a"]);
});

const SECRETS: readonly (readonly [name: string, index: number, value: string])[] = [
  ["authorization", 23, "Bearer a-token-that-is-much-longer-than-twenty"],
  ["authorization", 23, ""],
  ["proxy-authorization", 49, "Basic YTpi"],
  ["cookie", 32, "session=1"],
  ["set-cookie", 55, "session=1"],
];

for (const [name, index, value] of SECRETS) {
  test(`never indexes ${name} of ${value.length} octets`, () => {
    const { send, decoder } = pair();
    for (let times = 0; times < 4; times++) {
      assert.deepEqual(send(name, value), literal("never", index, value));
    }
    assert.deepEqual(tableOf(decoder), []);
  });
}

test("lets a cookie of twenty octets into the table", () => {
  const { send } = pair();
  for (let times = 0; times < 2; times++) send("cookie", "c".repeat(20));
  assert.deepEqual(send("cookie", "c".repeat(20)), indexed(62));
});

test("does not let one large value displace what is in the table", () => {
  const { send, decoder } = pair();
  send("x-small", "1");
  for (let times = 0; times < 3; times++)
    send("x-large", "v".repeat(1_000), "user-agent", "u".repeat(2_000));
  assert.deepEqual(tableOf(decoder), ["x-small: 1"]);
});

test("sends a name again that was evicted", () => {
  const { send } = pair();
  send("x-first", "1");
  for (let at = 0; at < 40; at++) send(`x-${at}`, "v".repeat(100));
  assert.deepEqual(send("x-first", "1"), literal("incremental", "x-first", "1"));
  assert.deepEqual(send("x-first", "1"), indexed(62));
});

test("uses no table where it may not, and says so first", () => {
  const { send } = pair({ tableBytes: 0 });
  const plain = literal("plain", "x-team", "blue");
  assert.deepEqual(send("x-team", "blue"), Buffer.concat([sizeUpdate(0), plain]));
  assert.deepEqual(send("x-team", "blue"), plain);
});

test("uses more than the default only when the peer offers it", () => {
  const { send, encoder } = pair({ tableBytes: 10_000 });
  assert.deepEqual(send(":method", "GET"), indexed(2));
  encoder.setPeerTableBytes(8_000);
  assert.deepEqual(send(":method", "GET"), Buffer.concat([sizeUpdate(8_000), indexed(2)]));
  encoder.setPeerTableBytes(60_000);
  assert.deepEqual(send(":method", "GET"), Buffer.concat([sizeUpdate(10_000), indexed(2)]));
  encoder.setPeerTableBytes(60_000);
  assert.deepEqual(send(":method", "GET"), indexed(2));
});

test("tells the smallest of several sizes and the last (RFC 7541 section 4.2)", () => {
  const { send, encoder, decoder } = pair();
  send("x-team", "blue");
  for (const bytes of [2_000, 10, 500, 3_000]) encoder.setPeerTableBytes(bytes);
  const block = send("x-team", "blue");
  const updates = Buffer.concat([sizeUpdate(10), sizeUpdate(3_000)]);
  assert.deepEqual(block, Buffer.concat([updates, literal("incremental", "x-team", "blue")]));
  assert.deepEqual(tableOf(decoder), ["x-team: blue"]);
});

test("tells a size once where it only fell", () => {
  const { send, encoder } = pair();
  for (const bytes of [2_000, 10]) encoder.setPeerTableBytes(bytes);
  assert.deepEqual(send(":method", "GET"), Buffer.concat([sizeUpdate(10), indexed(2)]));
});

test("acknowledges a smaller size although its table was smaller still", () => {
  const { send, encoder } = pair({ tableBytes: 100 });
  assert.deepEqual(send(":method", "GET"), Buffer.concat([sizeUpdate(100), indexed(2)]));
  encoder.setPeerTableBytes(3_000);
  assert.deepEqual(send(":method", "GET"), Buffer.concat([sizeUpdate(100), indexed(2)]));
});

test("takes any size that a peer may announce", () => {
  const { send, encoder } = pair();
  encoder.setPeerTableBytes(2 ** 32 - 1);
  assert.deepEqual(send(":method", "GET"), indexed(2));
});

test("stays right with more names than it remembers, and very long ones", () => {
  const { send } = pair();
  for (let at = 0; at < 1_000; at++) {
    send(`x-${at % 300}`, "1", "x-often", "1", `${"n".repeat(129)}${at % 3}`, "2");
  }
  assert.deepEqual(send(`${"n".repeat(129)}0`, "2"), literal("plain", `${"n".repeat(129)}0`, "2"));
});

test("needs no more than maxBytes for the shortest and the longest fields", () => {
  for (const length of [0, 1, 24, 25, 126, 127, 128, 254, 255, 16_510, 16_511, 70_000]) {
    const text = "x".repeat(length);
    assert.ok(encode(new HpackEncoder(), [text, text, text, "", "", text]).length > 3 * length);
    assert.ok(encode(new HpackEncoder({ tableBytes: 0 }), ["", ""]).length === 4);
  }
});

test("says the same of a list whose begin is known, whatever came before", () => {
  const pairOf = fc.tuple(
    fc.constantFrom(
      ":path",
      "user-agent",
      "x-team",
      "content-length",
      "authorization",
      "x-request-id",
    ),
    fc.constantFrom("/", "a", "b".repeat(30), "c".repeat(1_200)),
  );
  const lists = fc.array(fc.array(pairOf, { maxLength: 6 }), { minLength: 1, maxLength: 5 });
  const order = fc.array(fc.nat(4), { minLength: 1, maxLength: 30 });
  const sizes = fc.array(fc.constantFrom(0, 60, 4_096), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(lists, order, sizes, (known, picks, peerBytes) => {
      const { encoder, send } = pair();
      for (const [at, pick] of picks.entries()) {
        if (at % 10 === 9) encoder.setPeerTableBytes(peerBytes[at % peerBytes.length]!);
        send(...known[pick % known.length]!.flat());
      }
    }),
    { numRuns: 300 },
  );
});

test("puts a value into the table that comes again, though it stands behind a known begin", () => {
  const { send } = pair();
  const head = [":method", "GET", "x-team", "blue"];
  send(...head);
  send(...head);
  send(...head, "user-agent", "curl");
  send(...head, "user-agent", "curl");
  assert.deepEqual(
    send(...head, "user-agent", "curl"),
    Buffer.concat([indexed(2), indexed(63), indexed(62)]),
  );
  assert.deepEqual(
    send(":method", "GET", "x-team", "red"),
    Buffer.concat([indexed(2), literal("plain", 63, "red")]),
  );
});
