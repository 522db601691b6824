import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { corpusOf } from "./corpus.ts";
import { fuzz } from "./fuzz.ts";
import { mutator } from "./mutate.ts";
import { MAX_INPUT_BYTES, type Target } from "./target.ts";
import { TARGETS } from "./targets.ts";

const CORPUS = [Buffer.from("GET / HTTP/1.1\r\n"), Buffer.from("0\r\n\r\n")];

/** A target that fails where `fails` says so, and writes down what it was given. */
function planted(fails: (text: string) => boolean, given: string[] = []): Target {
  return {
    name: "planted",
    mutate: mutator(["secret"]),
    run(input) {
      assert.ok(input.length <= MAX_INPUT_BYTES);
      const text = input.toString("latin1");
      given.push(text);
      if (fails(text)) throw new Error("the planted fault");
      return `${text.length}`;
    },
  };
}

test("the same seed gives the same inputs, and another seed others", async () => {
  const runs: string[][] = [];
  for (const seed of [7, 7, 8]) {
    const given: string[] = [];
    await fuzz(
      planted(() => false, given),
      CORPUS,
      { seed, ms: 60_000, maxInputs: 500 },
    );
    runs.push(given);
  }
  assert.equal(runs[0]?.length, 500);
  assert.deepEqual(runs[0], runs[1]);
  assert.notDeepEqual(runs[0], runs[2]);
  assert.deepEqual(
    runs[0]?.slice(0, 2),
    CORPUS.map((input) => input.toString("latin1")),
  );
});

test("a fault behind a word and a number is found, made short and written down", async () => {
  const fails = (text: string) => text.includes("secret") && text.includes("\xff\xff");
  const report = await fuzz(planted(fails), CORPUS, { seed: 1, ms: 60_000 });
  assert.ok(report.failure !== null);
  const { file, message } = report.failure;
  const input = readFileSync(file, "latin1");
  rmSync(file);
  assert.ok(fails(input));
  assert.ok(input.length <= 10, `${input.length} bytes`);
  assert.match(message, /the planted fault/);
  assert.ok(message.includes(`replay: node test/fuzz/main.ts planted ${file}`));
});

test("an input that comes to no end, or fails behind the target's back, is written down all the same", () => {
  for (const [how, named] of [
    ["hangs", /no end within 500 ms/],
    ["crashes", /behind its back/],
  ] as const) {
    const fixture = join(import.meta.dirname, "fixture-broken-target.ts");
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const { status, stderr } = spawnSync(process.execPath, [fixture, how], {
      ...{ encoding: "utf8", env, timeout: 20_000 },
    });
    assert.notEqual(status, 0);
    assert.match(stderr, named);
    const file = /replay: node test\/fuzz\/main\.ts broken (\S+)/.exec(stderr)?.[1] ?? "";
    assert.equal(readFileSync(file, "latin1"), how);
    rmSync(file);
  }
});

test("the corpus is small: what is not worth reading is not worth keeping", () => {
  const all = TARGETS.flatMap(({ name }) => (name === "session" ? [] : corpusOf(name)));
  assert.ok(all.length < 100, `${all.length} files`);
  assert.ok(all.every((input) => input.length > 0 && input.length <= 4_096));
});
