import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";

const ROOT = join(import.meta.dirname, "../..");
const LINK = /\]\(([^)\s]+)\)/g;

/** The anchors that a page's headings have where Markdown is shown as GitHub shows it. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
}

/** Links of a page that lead to no file, or to no heading of it. */
function brokenLinks(file: string): string[] {
  const text = readFileSync(join(ROOT, file), "utf8");
  return [...text.matchAll(LINK)].flatMap(([, link = ""]) => {
    if (/^[a-z]+:/.test(link)) return [];
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? join(ROOT, file) : join(ROOT, dirname(file), path);
    if (!existsSync(target)) return [`${file}: ${link}`];
    const isFound =
      anchor === undefined || anchorsOf(readFileSync(target, "utf8")).includes(anchor);
    return isFound ? [] : [`${file}: ${link}`];
  });
}

test("every link between pages leads to a file and a heading that exist", () => {
  const pages = globSync("{*.md,docs/*.md,bench/*.md,iptables/*.md}", { cwd: ROOT });
  assert.ok(pages.length >= 10, `only ${pages.length} pages were seen`);
  assert.deepEqual(pages.flatMap(brokenLinks), []);
});
