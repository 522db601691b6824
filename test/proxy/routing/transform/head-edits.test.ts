import assert from "node:assert/strict";
import { test } from "node:test";
import type { HeaderEdits } from "../../../../src/core/traffic.ts";
import { editProblems, HeadEdits } from "../../../../src/proxy/routing/transform/head-edits.ts";
import { isAuthority, requestLine } from "../../../../src/proxy/routing/transform/request-line.ts";

const HEAD = [
  "GET /a?b HTTP/1.1",
  "Host: cart.shop",
  "X-A: 1",
  "x-b: 2",
  "x-a: 3",
  "Content-Length: 5",
  "X-AB: 4",
];

function head(...lines: readonly string[]): string {
  return `${lines.join("\r\n")}\r\n\r\n`;
}

function edited(...edits: readonly (HeaderEdits | undefined)[]): string[] {
  const text = HeadEdits.of(edits)?.apply(head(...HEAD)) ?? "";
  assert.ok(text.endsWith("\r\n\r\n"));
  return text.slice(0, -4).split("\r\n");
}

test("a name is taken out, replaced or added to, in any case", () => {
  const without = HEAD.filter((line) => !/^x-a:/i.test(line));
  assert.deepEqual(edited({ remove: ["x-A"] }), without);
  assert.deepEqual(edited({ set: [["X-a", "9"]] }), [...without, "X-a: 9"]);
  assert.deepEqual(edited({ add: [["x-A", "9"]] }), [...HEAD, "x-A: 9"]);
  assert.deepEqual(edited({ set: [["new", ""]] }), [...HEAD, "new: "]);
  assert.deepEqual(edited({ remove: ["none"] }), HEAD);
});

test("edits follow each other: remove, set, add of one, then those of the next", () => {
  const without = HEAD.filter((line) => !/^x-a:/i.test(line));
  const all = { remove: ["x-a"], set: [["x-a", "s"]], add: [["X-A", "a"]] } as const;
  assert.deepEqual(edited(all), [...without, "x-a: s", "X-A: a"]);
  assert.deepEqual(edited(all, { remove: ["x-a"] }), without);
  assert.deepEqual(edited(all, { set: [["x-a", "t"]] }), [...without, "x-a: t"]);
  assert.deepEqual(edited({ add: [["x-a", "a"]] }, undefined, { add: [["x-a", "b"]] }), [
    ...HEAD,
    "x-a: a",
    "x-a: b",
  ]);
  const first = HEAD.filter((line) => !line.startsWith("X-AB"));
  assert.deepEqual(edited({ remove: ["x-ab"] }), first);
});

test("nothing to do is null", () => {
  assert.equal(HeadEdits.of([]), null);
  assert.equal(HeadEdits.of([undefined, {}, { set: [] }]), null);
  assert.equal(HeadEdits.of([{ remove: ["host"] }]), null);
});

test("framing, Host and what says who calls are left alone, with a reason", () => {
  for (const name of [
    "Content-Length",
    "Transfer-Encoding",
    "Connection",
    "HOST",
    "Upgrade",
    "te",
  ]) {
    const edit: HeaderEdits = { set: [[name, "1"]], add: [[name, "2"]], remove: [name] };
    assert.equal(HeadEdits.of([edit]), null, name);
    assert.equal(editProblems(edit).length, 3);
  }
  assert.equal(HeadEdits.of([{ set: [["x-forwarded-client-cert", "By=me"]] }]), null);
  assert.deepEqual(editProblems({ set: [["x-a", "1"]], remove: ["x-b"] }), []);
});

test("no value and no name can bring a line of its own", () => {
  for (const text of ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "a\x7f"]) {
    for (const edit of [{ set: [["x", text]] }, { add: [["x", text]] }] as HeaderEdits[]) {
      assert.equal(HeadEdits.of([edit]), null, JSON.stringify(text));
      assert.match(editProblems(edit).join(), /control character/);
    }
    assert.equal(HeadEdits.of([{ set: [[text, "1"]] }]), null);
    assert.equal(HeadEdits.of([{ remove: [text] }]), null);
  }
  for (const name of ["", "a b", "a:", ":path", "\u00fc"]) {
    assert.match(editProblems({ set: [[name, "1"]] }).join(), /no name of a header/);
  }
});

test("values are literal, and beyond ASCII they are UTF-8", () => {
  assert.equal(
    edited({ set: [["x", "%REQ(:path)% 100%% $& \\1"]] }).at(-1),
    "x: %REQ(:path)% 100%% $& \\1",
  );
  const bytes = Buffer.from("J\u00fcrgen \u2713").toString("latin1");
  assert.equal(edited({ set: [["x", "J\u00fcrgen \u2713"]] }).at(-1), `x: ${bytes}`);
});

test("a value that looks like a header is none", () => {
  const text = head("GET / HTTP/1.1", "Host: a", "y: x-a: 1", "z:x-a:");
  assert.equal(HeadEdits.of([{ remove: ["x-a"] }])?.apply(text), text);
});

test("the path and Host of a head are exchanged, wherever Host stands and however it is spelt", () => {
  assert.equal(
    requestLine(head(...HEAD), { path: "/new?c", authority: "other:80" }),
    head("GET /new?c HTTP/1.1", "Host: other:80", ...HEAD.slice(2)),
  );
  assert.equal(
    requestLine(head("GET / HTTP/1.1", "a: host:", "hOST:x", "b: 1"), { authority: "y" }),
    head("GET / HTTP/1.1", "a: host:", "Host: y", "b: 1"),
  );
  assert.equal(
    requestLine(head("GET / HTTP/1.1", "a: 1"), { authority: "y" }),
    head("GET / HTTP/1.1", "Host: y", "a: 1"),
  );
  assert.equal(requestLine(head(...HEAD), {}), head(...HEAD));
  const dollars = "/$&$1$`";
  assert.ok(
    requestLine(head(...HEAD), { path: dollars }).startsWith(`GET ${dollars} HTTP/1.1\r\n`),
  );
});

test("a path or authority that could break out is not taken over", () => {
  for (const path of ["/a b", "/a\r\nx: y", "", "/\0", "/\u00fc"]) {
    assert.equal(requestLine(head(...HEAD), { path }), head(...HEAD));
  }
  for (const authority of ["a b", "a\r\nx: y", "", "a/b", "u@a", "a:b", "a,b", "[::1", "a\n"]) {
    assert.equal(isAuthority(authority), false, authority);
    assert.equal(requestLine(head(...HEAD), { authority }), head(...HEAD));
  }
  for (const authority of ["a", "a.b-c:8080", "10.0.0.1", "[::1]:80", "[fd00::1]", "a_b"]) {
    assert.equal(isAuthority(authority), true, authority);
  }
});

test("heads of many lines are edited in one pass", () => {
  const lines = Array.from({ length: 20_000 }, (_, index) => `x-${index % 10}: ${index}`);
  const text = head("GET / HTTP/1.1", ...lines);
  const edits = HeadEdits.of([{ remove: ["x-1"], set: [["x-2", "y"]] }]);
  const before = process.threadCpuUsage();
  const result = edits?.apply(text) ?? "";
  const { user, system } = process.threadCpuUsage(before);
  assert.equal(result.split("\r\n").length, 16_000 + 1 + 1 + 2);
  assert.ok((user + system) / 1_000 < 100);
});
