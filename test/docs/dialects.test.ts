import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { dialectPages } from "../../src/dialects/document.ts";
import { fieldsOf } from "../../src/dialects/support.ts";
import { translators } from "../../src/dialects/translators.ts";
import { readDoc } from "./table.ts";

const pages = dialectPages();

for (const [name, text] of pages) {
  test(`docs/dialects/${name} is what the translators generate: run \`npm run docs\` after a change`, () => {
    const [present, wanted] = [readDoc(`dialects/${name}`).split("\n"), text.split("\n")];
    const at = wanted.findIndex((line, index) => line !== present[index]);
    assert.equal(present[at], wanted[at], `line ${at + 1}`);
    assert.equal(present.length, wanted.length);
  });
}

test("there is no page besides", () => {
  const folder = join(import.meta.dirname, "../../docs/dialects");
  assert.deepEqual(readdirSync(folder).sort(), [...pages.keys()].sort());
});

test("every kind is on the page of its dialect, and whatever is not simply honoured has a reason", () => {
  for (const { dialect, kind, forms } of translators) {
    const page = pages.get(`${dialect.toLowerCase().replaceAll(" ", "-")}.md`) ?? "";
    assert.ok(page.includes(`\n## ${kind}\n`), kind);
    for (const { how, note, path } of forms.flatMap(({ schema }) => fieldsOf(schema))) {
      assert.ok(how === "honoured" || note !== "", `${kind} ${path}`);
      const isCommon = /^(apiVersion|kind)$/.test(path);
      assert.ok(isCommon || page.includes(`\`${path}\` | ${how} |`), `${kind} ${path}`);
    }
  }
});

test("links between kinds lead somewhere", () => {
  for (const [name, text] of pages) {
    for (const [, file = "", anchor = ""] of text.matchAll(/\]\(([\w-]+\.md)?#([\w-]+)\)/g)) {
      const target = pages.get(file === "" ? name : file);
      const anchors = [...(target ?? "").matchAll(/^## (.+)$/gm)].map(([, title = ""]) =>
        title.toLowerCase().replaceAll(" ", "-"),
      );
      assert.ok(anchors.includes(anchor), `${name}: ${file}#${anchor}`);
    }
  }
});
