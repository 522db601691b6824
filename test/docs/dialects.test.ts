import assert from "node:assert/strict";
import { test } from "node:test";
import { securityPage } from "../../src/dialects/document.ts";
import { fieldsOf } from "../../src/dialects/support.ts";
import { translators } from "../../src/dialects/translators.ts";
import { readDoc } from "./table.ts";

test("docs/dialects/security.md is what the translators generate: run `npm run docs` after a change", () => {
  assert.equal(readDoc("dialects/security.md"), securityPage());
});

test("every kind is on the page, and whatever is not simply honoured has a reason", () => {
  const page = securityPage();
  for (const { dialect, kind, forms } of translators) {
    assert.ok(page.includes(`## ${dialect}: ${kind}\n`), kind);
    for (const { how, note, path } of forms.flatMap(({ schema }) => fieldsOf(schema))) {
      assert.ok(how === "honoured" || note !== "", `${kind} ${path}`);
    }
  }
});
