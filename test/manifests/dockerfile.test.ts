import assert from "node:assert/strict";
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as z from "zod";
import { ROOT } from "../install/variants.ts";

test("the build's scripts are the ones that this test and the Dockerfile use", () => {
  const packageJson = z.object({
    scripts: z.record(z.string(), z.string()),
    bin: z.record(z.string(), z.string()),
  });
  const { scripts, bin } = packageJson.parse(
    JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")),
  );
  assert.equal(scripts["build"], "tsc -p tsconfig.build.json");
  const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  assert.match(
    dockerfile,
    new RegExp(`ENTRYPOINT \\["node", "/opt/hostmesh/${bin["hostmesh"]}"\\]`),
  );
  for (const unit of globSync("manifests/systemd/*.service", { cwd: ROOT })) {
    assert.ok(readFileSync(join(ROOT, unit), "utf8").includes(`/opt/hostmesh/${bin["hostmesh"]}`));
  }
});

test("the Dockerfile copies only what exists and what .dockerignore lets through", () => {
  const ignore = readFileSync(join(ROOT, ".dockerignore"), "utf8").split("\n");
  assert.ok(ignore.includes("*"));
  const copies = [
    ...readFileSync(join(ROOT, "Dockerfile"), "utf8").matchAll(/^COPY (?!--from)(.+)$/gm),
  ];
  const sources = copies.flatMap((match) => match[1]?.split(" ").slice(0, -1) ?? []);
  assert.ok(sources.length > 5);
  for (const source of sources) {
    assert.ok(existsSync(join(ROOT, source)), `${source} does not exist`);
    assert.ok(ignore.includes(`!${source}`), `${source} is ignored`);
  }
});
