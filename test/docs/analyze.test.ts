import assert from "node:assert/strict";
import { test } from "node:test";
import { CODES } from "../../src/cli/analyze/codes.ts";
import { EXIT } from "../../src/cli/cli-error.ts";
import { readTable } from "./table.ts";

test("docs/analyze.md lists every code, with its level and what to do", () => {
  const rows = readTable("analyze.md", "code").map((row) => [
    ...[row["code"], row["level"], row["what it says"], row["what to do"]],
  ]);
  const codes = Object.entries(CODES).map(([code, { level, title, remedy }]) => [
    ...[code, level, title, remedy.replaceAll("`", "")],
  ]);
  assert.deepEqual(rows, codes);
});

test("docs/analyze.md lists the exit codes", () => {
  const { ok, failure, usage, unreadable, findings } = EXIT;
  assert.deepEqual(
    readTable("analyze.md", "exit code").map((row) => Number(row["exit code"])),
    [ok, failure, usage, unreadable, findings],
  );
});
