import assert from "node:assert/strict";
import { test } from "node:test";
import { corpusOf } from "./corpus.ts";
import { fuzz } from "./fuzz.ts";
import { TARGETS } from "./targets.ts";

const DEFAULT_SECONDS = 1;

/** The same in each run, so that a run fails for what was changed; `test/fuzz/main.ts` takes another one each time. */
const seed = Number(process.env["FUZZ_SEED"] ?? 1);
const seconds = Number(process.env["FUZZ_SECONDS"] ?? DEFAULT_SECONDS);

for (const target of TARGETS) {
  const options = { timeout: 60_000 + 1_000 * seconds };
  test(
    `${target.name} keeps its promises for the corpus and what comes of it`,
    options,
    async (t) => {
      const corpus = corpusOf(target.name);
      assert.ok(corpus.length > 0, "no corpus");
      const report = await fuzz(target, corpus, { seed, ms: 1_000 * seconds });
      t.diagnostic(`${report.inputs} inputs, ${report.outcomes} outcomes; FUZZ_SEED=${seed}`);
      if (report.failure !== null) assert.fail(`${report.failure.message}\nFUZZ_SEED=${seed}`);
    },
  );
}
