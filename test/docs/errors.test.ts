import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
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

/** A code where an error is made of it: as the first argument, or as the value that becomes it. */
const MADE = /(?:new MeshError\(\s*|#lose\(\s*|\? |: | = )"([A-Z_]+)"/g;

test("every code is given to some failure in src: no row is a promise without a deed", () => {
  const root = join(import.meta.dirname, "../..");
  const files = globSync("src/**/*.ts", { cwd: root }).filter(
    (file) => file !== "src/core/errors.ts",
  );
  const made = new Set<string>();
  for (const file of files) {
    for (const [, code = ""] of readFileSync(join(root, file), "utf8").matchAll(MADE))
      made.add(code);
  }
  assert.deepEqual(
    Object.keys(CODES).filter((code) => !made.has(code)),
    [],
  );
});

test("docs/operations.md lists every flag of the access log, each with all of its codes", () => {
  const flags = new Map<string, string>();
  for (const row of readTable("operations.md", "flag")) {
    for (const flag of (row["flag"] ?? "").split(", ")) flags.set(flag, row["code"] ?? "");
  }
  for (const [code, { flag }] of Object.entries(CODES)) {
    const listed = flags.get(flag);
    assert.ok(listed !== undefined, `no row for ${flag}`);
    // `_TIMEOUT` continues the name before it, and an ellipsis stands for more of the same kind.
    const named = listed.split(", ").some((name) => code === name || code.endsWith(name));
    assert.ok(named || listed.endsWith("..."), `${flag} does not name ${code}`);
  }
  const known = new Set<string>(Object.values(CODES).map(({ flag }) => flag));
  assert.deepEqual(
    [...flags.keys()].filter((flag) => !known.has(flag)),
    [],
  );
});
