import assert from "node:assert/strict";
import { hostname } from "node:os";
import { test } from "node:test";
import { configurationPage } from "../../src/config/document.ts";
import { configLeaves } from "../../src/config/leaves.ts";
import { readDoc } from "./table.ts";

test("docs/configuration.md is what the schema generates: run `npm run docs` after a change", () => {
  assert.equal(readDoc("configuration.md"), configurationPage());
});

test("the page holds every setting with its variable, and nothing of this machine", () => {
  const page = configurationPage();
  for (const { leaves } of configLeaves()) {
    for (const { name, env } of leaves)
      assert.ok(page.includes(`| \`${name}\`<br>\`${env}\` |`), name);
  }
  assert.ok(!page.includes(`\`"${hostname()}"\``));
});

test("limits and timeouts that other pages name exist", () => {
  const names = configLeaves().flatMap(({ leaves }) => leaves.map(({ name }) => name));
  for (const file of ["errors.md", "metrics.md"]) {
    for (const [, name = ""] of readDoc(file).matchAll(
      /`((?:limits|timeouts|pool)\.[A-Za-z]+)`/g,
    )) {
      assert.ok(names.includes(name), `${file}: ${name}`);
    }
  }
});
