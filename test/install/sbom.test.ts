import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import * as z from "zod";
import { softwareBill } from "../../src/install/sbom.ts";
import { ROOT, VERSION } from "./variants.ts";

const bill = z.looseObject({
  bomFormat: z.literal("CycloneDX"),
  metadata: z.looseObject({
    timestamp: z.string(),
    component: z.looseObject({ name: z.literal("hostmesh"), version: z.literal(VERSION) }),
  }),
  components: z.array(
    z.looseObject({
      name: z.string(),
      version: z.string(),
      purl: z.string().startsWith("pkg:npm/"),
    }),
  ),
});
const packageJson = z.object({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
});

test("the bill of materials names what is installed, and the same sources give the same bytes", () => {
  const text = softwareBill("1700000000");
  assert.equal(text, softwareBill("1700000000"));
  const { metadata, components } = bill.parse(JSON.parse(text));
  assert.equal(metadata.timestamp, "2023-11-14T22:13:20.000Z");
  assert.ok(!text.includes("serialNumber"));
  const names = new Set(components.map(({ name }) => name));
  const { dependencies, devDependencies } = packageJson.parse(
    JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")),
  );
  for (const name of Object.keys(dependencies)) assert.ok(names.has(name), name);
  // Some packages bring types along, which they name as something that they need.
  const isTypes = (name: string) => name.startsWith("@types/");
  const development = Object.keys(devDependencies).filter(
    (name) => names.has(name) && !isTypes(name),
  );
  assert.deepEqual(development, [], "what only the development needs is no part of it");
});
