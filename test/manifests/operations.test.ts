import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { configSchema } from "../../src/config/schema.ts";
import { CODES } from "../../src/core/errors.ts";
import { ROOT } from "../install/variants.ts";

const PAGES = ["docs/operations.md", "docs/deployment.md", "CONTRIBUTING.md"];
const read = (page: string) => readFileSync(join(ROOT, page), "utf8");

test("the page on operations lists every default port under its setting", () => {
  const page = read("docs/operations.md");
  const { ports, registry, mesh } = configSchema.parse({});
  const expected: Record<string, number> = {
    "registry.port": registry.port,
    "registry.tlsPort": registry.tlsPort,
    "registry.metricsPort": registry.metricsPort,
    "mesh.port": mesh.port,
    "mesh.inboundPort": mesh.inboundPort,
  };
  for (const [name, value] of Object.entries(ports)) {
    if (typeof value === "number") expected[`ports.${name}`] = value;
  }
  const rows = [...page.matchAll(/^\| (\d+)\s+\| `((?:ports|registry|mesh)\.[a-zA-Z]+)`/gm)];
  const listed = Object.fromEntries(rows.map((row) => [row[2], Number(row[1])]));
  assert.deepEqual(listed, expected);
});

test("the page on operations has advice for every flag of the access log, and for no other", () => {
  const [, table = ""] = read("docs/operations.md").split("| flag ");
  const cells = [...table.matchAll(/^\| ((?:`[A-Z]+`(?:, )?)+)\s+\|/gm)];
  const listed = cells.flatMap((cell) => cell[1]?.match(/[A-Z]+/g) ?? []);
  assert.deepEqual(
    listed.sort(),
    [...new Set(Object.values(CODES).map(({ flag }) => flag))].sort(),
  );
});

test("the settings that the pages name exist", () => {
  const config: unknown = configSchema.parse({});
  const sections = Object.keys(configSchema.shape).join("|");
  for (const page of PAGES) {
    for (const [, path = ""] of read(page).matchAll(
      new RegExp(`\`((?:${sections})\\.\\w+)[:\`]`, "g"),
    )) {
      const [section = "", key = ""] = path.split(".");
      const found = Object.entries(Object(config)).find(([name]) => name === section)?.[1];
      assert.ok(Object.hasOwn(Object(found), key), `${page} names ${path}, which is no setting`);
    }
  }
});

test("the links between the pages lead somewhere", () => {
  for (const page of PAGES) {
    for (const [, target = ""] of read(page).matchAll(/\]\(([^)#:]+)\)/g)) {
      assert.ok(existsSync(join(ROOT, page, "..", target)), `${page} links to ${target}`);
    }
  }
});
