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
  assert.match(
    scripts["build"] ?? "",
    /^tsc -p tsconfig\.build\.json && .*cp -R src\/dashboard\/built dist/,
  );
  const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  assert.match(dockerfile, /^ENTRYPOINT \["hostmesh"\]$/m);
  const program = `/opt/hostmesh/${bin["hostmesh"]}`;
  assert.ok(dockerfile.includes(`ln -s ${program} /usr/local/bin/hostmesh`));
  assert.ok(dockerfile.includes(`chmod 755 ${bin["hostmesh"]}`), "the link's target can be run");
  const [line] = readFileSync(join(ROOT, "src/cli/main.ts"), "utf8").split("\n");
  assert.equal(line, "#!/usr/bin/env node");
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

test("the image gets its bill of materials, and nothing of the moment in which it is built", () => {
  const dockerfile = readFileSync(join(ROOT, "Dockerfile"), "utf8");
  assert.match(dockerfile, /npm run --silent sbom > sbom\.cdx\.json/);
  assert.match(dockerfile, /COPY --from=build .*\/sbom\.cdx\.json /);
  assert.doesNotMatch(dockerfile, /npm install|\$\(date|ADD http/);
  assert.match(dockerfile, /^RUN npm ci$/m);
  assert.match(dockerfile, /rm -rf .*\/var\/lib\/apt\/lists\/\* .*\/var\/log\/\*/);
  // Every stage is of the base that a build may name by its digest.
  const stages = [...dockerfile.matchAll(/^FROM (.+)$/gm)].map(([, base]) => base);
  assert.equal(stages.length, 2);
  for (const base of stages) assert.match(base ?? "", /^\$\{BASE\}(?: AS build)?$/);
});
