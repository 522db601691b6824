import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { unifiedDiff } from "../../src/cli/unified-diff.ts";

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => String(from + index));
const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

/** What the hunks make of a text, checked against it line by line. */
function patched(before: string, hunks: readonly string[]): string {
  const lines = before.split("\n").slice(0, -1);
  const result: string[] = [];
  let at = 0;
  for (const line of hunks) {
    const head = /^@@ -(\d+)(?:,(\d+))? /.exec(line);
    if (head !== null) {
      const start = Number(head[1]) - (head[2] === "0" ? 0 : 1);
      result.push(...lines.slice(at, start));
      at = start;
    } else if (line.startsWith("+")) {
      result.push(line.slice(1));
    } else {
      assert.equal(lines[at], line.slice(1));
      if (line.startsWith(" ")) result.push(lines[at] ?? "");
      at++;
    }
  }
  return text([...result, ...lines.slice(at)]);
}

describe("unifiedDiff", () => {
  it("says nothing of texts that are the same", () => {
    assert.deepEqual(unifiedDiff("a\nb\n", "a\nb\n"), []);
  });

  it("shows three lines around a change, and far changes in hunks of their own", () => {
    const before = numbers(1, 20);
    const after = before.with(4, "five").toSpliced(17, 1);
    assert.deepEqual(unifiedDiff(text(before), text(after)), [
      ...["@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8"],
      ...["@@ -15,6 +15,5 @@", " 15", " 16", " 17", "-18", " 19", " 20"],
    ]);
  });

  it("names an empty side by the line before it, as diff does", () => {
    assert.deepEqual(unifiedDiff("", "a\n"), ["@@ -0,0 +1 @@", "+a"]);
    assert.deepEqual(unifiedDiff("a\n", ""), ["@@ -1 +0,0 @@", "-a"]);
  });

  it("leads from any text to any other", () => {
    // A linear congruential generator: the same texts in every run.
    let seed = 7;
    const random = (below: number) => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((seed / 2_147_483_648) * below);
    };
    const some = () => text(Array.from({ length: random(25) }, () => "abc".charAt(random(3))));
    for (let round = 0; round < 300; round++) {
      const [before, after] = [some(), some()];
      assert.equal(patched(before, unifiedDiff(before, after)), after);
    }
  });

  it("ends soon for long texts that have nothing in common", () => {
    const [before, after] = [text(numbers(1, 20_000)), text(numbers(30_000, 50_000))];
    const hunks = unifiedDiff(before, after);
    assert.equal(hunks.length, 1 + 20_000 + 20_001);
  });
});
