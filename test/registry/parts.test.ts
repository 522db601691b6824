import assert from "node:assert/strict";
import { test } from "node:test";
import { Digest } from "../../src/registry/digest.ts";
import { Draft } from "../../src/registry/draft.ts";
import { formatGoDuration, parseGoDuration } from "../../src/registry/duration.ts";
import type { RecordView } from "../../src/registry/record-view.ts";
import { VirtualRange } from "../../src/registry/virtual-range.ts";

test("durations are read as Go reads them", () => {
  const good: [string, number][] = [
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    ["500ms", 500],
    ["250us", 0.25],
    [".5s", 500],
    ["0", 0],
    ["0s", 0],
    ["+5s", 5_000],
  ];
  for (const [text, expected] of good) assert.equal(parseGoDuration(text), expected, text);
  for (const text of ["", "10", "-5s", "s", "5 s", "5d", "1h 5m", "5s!", "Infinitys", "1e3s"]) {
    assert.equal(parseGoDuration(text), null, text);
  }
});

test("durations are written as Go prints them", () => {
  const pairs: [number, string][] = [
    [0, "0s"],
    [500, "500ms"],
    [10_000, "10s"],
    [90_000, "1m30s"],
    [3_600_000, "1h0m0s"],
    [1_500, "1.5s"],
  ];
  for (const [value, expected] of pairs) assert.equal(formatGoDuration(value), expected);
});

test("a range hands out every address once, and neither its first nor its last", () => {
  const range = new VirtualRange("10.0.0.5/29");
  const taken = new Set<string>();
  for (let index = 0; index < 6; index++) {
    const address = range.allot(`key ${index}`, (each) => taken.has(each));
    assert.ok(address !== null && !taken.has(address));
    taken.add(address);
  }
  assert.deepEqual(
    [...taken].sort(),
    [1, 2, 3, 4, 5, 6].map((last) => `10.0.0.${last}`),
  );
  assert.equal(
    range.allot("one more", (each) => taken.has(each)),
    null,
  );
});

test("the same key gets the same address, in IPv6 too, in canonical form", () => {
  for (const cidr of ["240.240.0.0/16", "2001:2::/48", "fd00::/64"]) {
    const free = () => false;
    const first = new VirtualRange(cidr).allot("default/web", free);
    assert.equal(new VirtualRange(cidr).allot("default/web", free), first);
    assert.notEqual(new VirtualRange(cidr).allot("default/api", free), first);
    assert.ok(first?.startsWith(cidr.split("/")[0]?.replace(/(0\.0|::)$/, "") ?? "?"), `${first}`);
  }
});

test("what is no range is refused", () => {
  for (const cidr of [
    "",
    "10.0.0.0",
    "10.0.0.0/31",
    "10.0.0.0/33",
    "x/16",
    "::/127",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
  ]) {
    assert.throws(() => new VirtualRange(cidr), /is no range of virtual addresses/, cidr);
  }
});

test("a digest depends on what is in it and not on the order or the way", () => {
  const one = new Digest();
  one.add("service", "a", 1);
  one.add("endpoint", "b", 2);
  const other = new Digest();
  other.add("endpoint", "b", 1);
  other.add("service", "a", 1);
  assert.notEqual(one.toString(), other.toString());
  other.remove("endpoint", "b", 1);
  other.add("endpoint", "b", 2);
  assert.equal(one.toString(), other.toString());
  one.remove("service", "a", 1);
  one.remove("endpoint", "b", 2);
  assert.equal(one.toString(), "0000000000000000");
});

test("a hundred thousand digests of one record differ", () => {
  const seen = new Set<string>();
  for (let version = 0; version < 100_000; version++) {
    const digest = new Digest();
    digest.add("endpoint", "h1/web", version);
    seen.add(digest.toString());
  }
  assert.equal(seen.size, 100_000);
});

test("a draft reads through its own writes, and its indexes follow", () => {
  const below: RecordView = { get: () => undefined, members: () => [] };
  const workload = (address: string) => ({
    ...{ name: "w", namespace: "default", serviceAccount: "s", host: "h1" },
    addresses: [address],
  });
  const draft = new Draft(below);
  draft.put("workload", "default/w", workload("10.0.0.1"));
  const top = new Draft(draft);
  assert.deepEqual([...top.members("workload:h1 10.0.0.1")], ["default/w"]);
  top.put("workload", "default/w", workload("10.0.0.2"));
  assert.deepEqual([...top.members("workload:h1 10.0.0.1")], []);
  assert.deepEqual([...top.members("workload:h1 10.0.0.2")], ["default/w"]);
  assert.deepEqual([...draft.members("workload:h1 10.0.0.1")], ["default/w"], "below is untouched");
  top.remove("workload", "default/w");
  assert.equal(top.get("workload", "default/w"), undefined);
  draft.absorb(top);
  assert.equal(draft.get("workload", "default/w"), undefined);
  draft.put("workload", "default/w", workload("10.0.0.1"));
  assert.deepEqual([...draft.members("workload:h1 10.0.0.1")], ["default/w"]);
  assert.equal(draft.writes().length, 1);
});
