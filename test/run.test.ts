import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { CANNOT_BE_BUILT } from "./kube/programs.ts";

const RUNNER = join(import.meta.dirname, "run.ts");
const folders: string[] = [];
after(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

/** Runs the runner in a folder of its own that holds these files below `test/`. */
function runIn(files: Record<string, string>, args: string[] = [], requireAll = false) {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-run-"));
  folders.push(folder);
  for (const [name, body] of Object.entries(files)) {
    const path = join(folder, "test", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `import { test } from "node:test";\n${body}\n`);
  }
  // The mark of a running test is taken away: with it the inner run would report to the outer one.
  const { NODE_TEST_CONTEXT: _, REQUIRE_PRIVILEGED_TESTS: __, ...env } = process.env;
  const result = spawnSync(process.execPath, [RUNNER, ...args], {
    cwd: folder,
    encoding: "utf8",
    env: requireAll ? { ...env, REQUIRE_PRIVILEGED_TESTS: "1" } : env,
  });
  return { status: result.status, output: result.stdout + result.stderr };
}

const PASS = 'test("is well", () => {});';
const SKIP = 'test("captures", { skip: "needs root" }, () => {});';

test("counts passed tests of all groups in one closing line", () => {
  const { status, output } = runIn({
    ...{ "a/one.test.ts": PASS, "netns/two.test.ts": PASS },
    ...{ "chaos/three.test.ts": PASS, "netns/demo.test.ts": PASS },
  });
  assert.match(output, /\n4 passed, 0 failed, 0 skipped\n$/);
  assert.equal(status, 0);
});

/** Waits for what the other file leaves, having left its own. */
const meet = (own: string, other: string) => `
  import { existsSync, writeFileSync } from "node:fs";
  import { setTimeout as sleep } from "node:timers/promises";
  test("meets the other", { timeout: 20_000 }, async () => {
    writeFileSync(${JSON.stringify(own)}, "");
    while (!existsSync(${JSON.stringify(other)})) await sleep(5);
  });`;

test("runs two privileged files at a time, but the demo's alone", () => {
  const pair = { "netns/a.test.ts": meet("a", "b"), "chaos/b.test.ts": meet("b", "a") };
  const alone = `
    import { existsSync } from "node:fs";
    test("comes after the others", () => {
      if (!existsSync("a") || !existsSync("b")) throw new Error("it does not");
    });`;
  const { output } = runIn({ ...pair, "netns/demo.test.ts": alone });
  assert.match(output, /\n3 passed, 0 failed, 0 skipped\n$/);
});

test("names a skipped test with its file and reason, and passes", () => {
  const { status, output } = runIn({ "netns/two.test.ts": `${PASS}\n${SKIP}` });
  assert.match(output, /^SKIPPED test\/netns\/two\.test\.ts: captures \(needs root\)$/m);
  assert.match(output, /\n1 passed, 0 failed, 1 skipped\n$/);
  assert.equal(status, 0);
});

test("fails on a skipped test where privileged tests are required", () => {
  const { status, output } = runIn({ "netns/two.test.ts": `${PASS}\n${SKIP}` }, [], true);
  assert.match(output, /REQUIRE_PRIVILEGED_TESTS/);
  assert.equal(status, 1);
});

test("excuses a test that only lacks Kubernetes, and names it", () => {
  const skip = `${CANNOT_BE_BUILT}: no Go`;
  const body = `${PASS}\ntest("rolls", { skip: ${JSON.stringify(skip)} }, () => {});`;
  const { status, output } = runIn({ "kube/two.test.ts": body }, [], true);
  assert.match(
    output,
    /\nSKIPPED test\/kube\/two\.test\.ts: rolls \(Kubernetes is not built here: no Go\)\n/,
  );
  assert.match(output, /\n1 passed, 0 failed, 1 skipped\n$/);
  assert.equal(status, 0);
});

test("fails on a failed test, and on a file that cannot be read", () => {
  const failing = runIn({ "a.test.ts": 'test("breaks", () => { throw new Error("no"); });' });
  assert.match(failing.output, /\n0 passed, 1 failed, 0 skipped\n$/);
  assert.equal(failing.status, 1);
  const broken = runIn({ "a.test.ts": "this is no program" });
  assert.equal(broken.status, 1);
});

/** A test that fails in its first run: the file is its memory. */
const FAILS_ONCE = `
  import { existsSync, writeFileSync } from "node:fs";
  test("comes too late", () => {
    if (existsSync("been")) return;
    writeFileSync("been", "");
    throw new Error("waited in vain");
  });`;

test("runs a failed file once more, alone, and names it", () => {
  const { status, output } = runIn({ "a.test.ts": FAILS_ONCE, "netns/b.test.ts": PASS });
  assert.match(output, /^AT FIRST test\/a\.test\.ts:\d+: comes too late\n {4}waited in vain$/m);
  assert.match(output, /^FLAKY test\/a\.test\.ts: failed beside others, passed alone$/m);
  assert.match(output, /\n2 passed, 0 failed, 0 skipped\n$/);
  assert.equal(status, 0);
});

test("does not take for passed what is skipped when it is run once more", () => {
  const once = `
    import { existsSync, writeFileSync } from "node:fs";
    const skip = existsSync("been") ? "left over" : false;
    test("breaks", { skip }, () => {
      writeFileSync("been", "");
      throw new Error("no");
    });`;
  const { status, output } = runIn({ "a.test.ts": once });
  assert.match(output, /\n0 passed, 1 failed, 1 skipped\n$/);
  assert.equal(status, 1);
});

test("names what fails for good in the closing lines, and repeats nothing where much fails", () => {
  const failing = 'test("breaks", () => { throw new Error("no"); });';
  const one = runIn({ "a.test.ts": failing, "b.test.ts": PASS });
  assert.match(one.output, /\nFAILED test\/a\.test\.ts:2: breaks\n {4}no\n1 passed, 1 failed,/);
  assert.doesNotMatch(one.output, /^FLAKY/m);
  const many = ["a", "b", "c", "d", "e", "f", "g"].map((name) => [`${name}.test.ts`, failing]);
  const all = runIn(Object.fromEntries(many));
  assert.doesNotMatch(all.output, /once more/);
  assert.match(all.output, /\n0 passed, 7 failed, 0 skipped\n$/);
  assert.equal(all.status, 1);
});

test("runs only what the filters choose, and refuses a filter that chooses nothing", () => {
  const files = { "http/one.test.ts": PASS, "core/two.test.ts": PASS, "core/three.test.ts": PASS };
  assert.match(runIn(files, ["test/http"]).output, /\n1 passed, .*\n$/);
  assert.match(runIn(files, ["test/core/two.test.ts", "test/http"]).output, /\n2 passed, .*\n$/);
  const none = runIn(files, ["test/http", "test/nothing"]);
  assert.equal(none.status, 2);
  assert.match(none.output, /no test file matches test\/nothing/);
});
