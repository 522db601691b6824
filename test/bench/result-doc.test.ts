import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { MARKS } from "../../bench/result/marks.ts";
import { resultSchema } from "../../bench/result/result-schema.ts";
import { sampleResult } from "./sample-result.ts";
import { schemaFields } from "./schema-fields.ts";

const PAGE = readFileSync(new URL("../../docs/bench-result.md", import.meta.url), "utf8");

/** Cells of the rows below a header with these titles. */
function rowsBelow(...titles: readonly string[]): string[][] {
  const header = `| ${titles.join(" | ")} |`;
  return PAGE.split(`${header}\n`)
    .slice(1)
    .flatMap((part) => {
      const lines = part.split("\n");
      const end = lines.findIndex((line) => !line.startsWith("|"));
      return lines.slice(1, end === -1 ? undefined : end);
    })
    .map((line) => line.slice(2, -2).split(" | "));
}

test("docs/bench-result.md lists every field of the schema and no other, with its type", () => {
  const documented = rowsBelow("field", "type", "meaning");
  const listed = documented.map(([field = "", type]) => [field.replaceAll("`", ""), type]);
  const expected = [...schemaFields(resultSchema)];
  const sorted = (rows: readonly unknown[]) => rows.map((one) => JSON.stringify(one)).sort();
  assert.deepEqual(sorted(listed), sorted(expected));
  for (const [field, , meaning] of documented) assert.ok((meaning ?? "").length > 3, `${field}`);
});

test("docs/bench-result.md says of each mark what the report says", () => {
  const listed = rowsBelow("mark", "meaning").map(([mark = "", meaning]) => [
    mark.replaceAll("`", ""),
    meaning,
  ]);
  assert.deepEqual(Object.fromEntries(listed), MARKS);
});

test("the schema knows every field that the command writes", () => {
  const written = JSON.parse(JSON.stringify(sampleResult()));
  // Unknown fields would be dropped, and missing ones refused.
  assert.deepEqual(resultSchema.parse(written), written);
});
