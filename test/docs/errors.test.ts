import assert from "node:assert/strict";
import { test } from "node:test";
import { CODES } from "../../src/core/errors.ts";
import { readTable } from "./table.ts";

const rows = readTable("errors.md", "code");

test("docs/errors.md lists every code once, in the order of the table in the code", () => {
  assert.deepEqual(
    rows.map((row) => row["code"]),
    Object.keys(CODES),
  );
});

test("docs/errors.md says of each code what the code says", () => {
  for (const row of rows) {
    const facts = Object.entries(CODES).find(([code]) => code === row["code"])?.[1];
    const { side, status, flag, retry, meaning } = row;
    assert.deepEqual(
      { side, http: Number(status), flag, retry, text: meaning },
      { ...facts },
      row["code"],
    );
  }
});

test("docs/errors.md tells the operator where to look", () => {
  for (const row of rows) assert.ok((row["look at"] ?? "").length > 10, row["code"]);
});
