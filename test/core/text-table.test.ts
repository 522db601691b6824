import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { printable, truncate, wantsColor } from "../../src/core/terminal.ts";
import { textTable } from "../../src/core/text-table.ts";

const columns = [
  { title: "NAME", minWidth: 4 },
  { title: "RPS", align: "right" as const },
  { title: "WHERE", minWidth: 6 },
];
const rows = [
  ["catalog", "12.5", "10.0.0.1:8080"],
  ["a-service-with-a-long-name", "3", "10.0.0.2:8080"],
];

describe("text table", () => {
  it("aligns columns and leaves no space at the end of a line", () => {
    assert.deepEqual(textTable(columns, rows, { width: Number.POSITIVE_INFINITY, color: false }), [
      "NAME                         RPS  WHERE",
      "catalog                     12.5  10.0.0.1:8080",
      "a-service-with-a-long-name     3  10.0.0.2:8080",
    ]);
  });

  it("is never wider than the terminal, whatever its width", () => {
    for (let width = 0; width < 60; width += 1) {
      for (const line of textTable(columns, rows, { width, color: false })) {
        assert.ok([...line].length <= width, `${width}: ${line}`);
      }
    }
  });

  it("cuts the widest cuttable column first and never a figure", () => {
    const [, , line = ""] = textTable(columns, rows, { width: 36, color: false });
    assert.match(line, /^a-service-with… {2,}3 {2}10\.0\.0\.2:8080$/);
  });

  it("colours after padding, so that columns stay aligned", () => {
    const coloured = textTable(columns, [["x", { text: "1", style: "bad" }, "y"]], {
      width: 80,
      color: true,
    });
    assert.equal(coloured[1], "x     \u001b[31m  1\u001b[0m  y");
  });

  it("lets no control sequence of a name through", () => {
    const [, line = ""] = textTable(columns, [["\u001b]0;owned\u0007x\ny", "1", "z"]], {
      width: 80,
      color: false,
    });
    assert.equal(line, "x?y     1  z");
    assert.equal(printable("a\u009b31mb"), "ab");
  });

  it("shows an ellipsis where it cuts, and nothing at no width", () => {
    assert.equal(truncate("abcdef", 4), "abc…");
    assert.equal(truncate("abc", 3), "abc");
    assert.equal(truncate("abc", 0), "");
  });
});

describe("colour", () => {
  it("is for terminals, unless NO_COLOR or TERM=dumb says otherwise", () => {
    assert.equal(wantsColor(true, {}), true);
    assert.equal(wantsColor(false, {}), false);
    assert.equal(wantsColor(true, { NO_COLOR: "1" }), false);
    assert.equal(wantsColor(true, { NO_COLOR: "" }), true);
    assert.equal(wantsColor(true, { TERM: "dumb" }), false);
  });

  it("is forced on and off by FORCE_COLOR, which wins over NO_COLOR as in Node", () => {
    assert.equal(wantsColor(false, { FORCE_COLOR: "1" }), true);
    assert.equal(wantsColor(false, { FORCE_COLOR: "" }), true);
    assert.equal(wantsColor(true, { FORCE_COLOR: "0" }), false);
    assert.equal(wantsColor(false, { FORCE_COLOR: "1", NO_COLOR: "1" }), true);
  });
});

it("leaves out optional columns, the last first, before names become unreadable", () => {
  const columns = [
    { title: "NAME", minWidth: 4 },
    { title: "A", optional: true as const },
    { title: "B", optional: true as const },
    { title: "LAST" },
  ];
  const rows = [["some-name-of-22-letters", "aaa", { text: "bbb", style: "good" as const }, "z"]];
  const header = (width: number) => textTable(columns, rows, { width, color: false })[0];
  assert.equal(header(Number.POSITIVE_INFINITY)?.replace(/ +/g, " "), "NAME A B LAST");
  assert.equal(header(39)?.replace(/ +/g, " "), "NAME A B LAST");
  assert.equal(header(38)?.replace(/ +/g, " "), "NAME A LAST");
  assert.equal(header(30)?.replace(/ +/g, " "), "NAME LAST");
  assert.equal(textTable(columns, rows, { width: 20, color: false })[1], "some-name-of-…  z");
});
