import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { InstallObject } from "../../src/install/resolve.ts";
import { objectsOf, ROOT, VARIANTS } from "../install/variants.ts";

/** The module of `kubernetes-models`, made from Kubernetes' own OpenAPI schema, that describes an object. */
function modelOf({ apiVersion, kind }: InstallObject): string {
  return `kubernetes-models/${apiVersion}/${kind}`;
}

/**
 * What the TypeScript compiler says of the objects as literals of Kubernetes' types: unknown fields,
 * missing fields, wrong types and unknown names of a closed list.
 */
function compile(objects: readonly InstallObject[]): string {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-schema-"));
  try {
    symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
    writeFileSync(join(folder, "package.json"), '{"type":"module"}');
    const lines = objects.flatMap((object, index) => [
      `import type { I${object.kind} as T${index} } from "${modelOf(object)}";`,
      `export const object${index}: T${index} = ${JSON.stringify(object, null, 1)};`,
    ]);
    writeFileSync(join(folder, "objects.ts"), lines.join("\n"));
    const flags = "--noEmit --strict --skipLibCheck --module nodenext --target es2024".split(" ");
    const tsc = join(ROOT, "node_modules/typescript/bin/tsc");
    const args = [tsc, ...flags, "--types", "", "objects.ts"];
    const { stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: "utf8" });
    return stdout + stderr;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

interface Model {
  /** Throws with the path of the field: formats, quantities and ranges besides what types can say. */
  validate(): void;
}

async function validate(object: InstallObject): Promise<void> {
  const module: Record<string, new (data: unknown) => Model> = await import(modelOf(object));
  const Model = module[object.kind];
  assert.ok(Model !== undefined, `no schema for ${object.apiVersion} ${object.kind}`);
  new Model(object).validate();
}

/** Of the Prometheus operator: no schema of Kubernetes. */
const isForeign = ({ apiVersion }: InstallObject) =>
  apiVersion.startsWith("monitoring.coreos.com/");

for (const [variant, values] of Object.entries(VARIANTS)) {
  test(`${variant}: the objects keep to Kubernetes' schemas`, async () => {
    const objects = objectsOf(values);
    assert.ok(objects.length >= 10, `only ${objects.length} objects`);
    const known = objects.filter((object) => !isForeign(object));
    assert.equal(compile(known), "");
    for (const object of known) await validate(object);
  });
}

test("the schema check refuses an unknown field, a missing one and a wrong value", async () => {
  const pod = (spec: object): InstallObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "a" },
    spec,
  });
  const container = { name: "a", image: "a" };
  const good = pod({ containers: [container] });
  assert.equal(compile([good]), "");
  await validate(good);
  const bad: [RegExp, object][] = [
    [/"imagePullPolicies"' does not exist/, { ...container, imagePullPolicies: "Always" }],
    [/Property '"name"' is missing/, { image: "a" }],
    [/"Sometimes".* is not assignable/, { ...container, imagePullPolicy: "Sometimes" }],
    [/'string' is not assignable to type 'boolean/, { ...container, tty: "yes" }],
    [
      /"capabilites"' does not exist/,
      { ...container, securityContext: { capabilites: { drop: ["ALL"] } } },
    ],
  ];
  const verdicts = compile(bad.map(([, wrong]) => pod({ containers: [wrong] })));
  for (const [expected] of bad) assert.match(verdicts, expected);
  const quantity = pod({
    containers: [{ ...container, resources: { limits: { memory: "lots" } } }],
  });
  await assert.rejects(validate(quantity), /memory/);
});
