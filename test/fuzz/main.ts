import { readFileSync } from "node:fs";
import { corpusOf } from "./corpus.ts";
import { fuzz } from "./fuzz.ts";
import { TARGETS } from "./targets.ts";

/**
 * `FUZZ_SECONDS=60 node test/fuzz/main.ts [target]` fuzzes one target, or all in turn; FUZZ_SEED repeats a run.
 * `node test/fuzz/main.ts target file...` runs just those inputs. Exit code: 0 nothing failed, 1 an input did, 2 no such target.
 */
const DEFAULT_SECONDS = 10;

const [name, ...files] = process.argv.slice(2);
const chosen = TARGETS.filter((target) => name === undefined || target.name === name);
if (chosen.length === 0) {
  console.error(`no target ${name}; there are ${TARGETS.map((target) => target.name).join(", ")}`);
  process.exit(2);
}

const seed = Number(process.env["FUZZ_SEED"] ?? Date.now() % 1_000_000_000);
const ms = 1_000 * Number(process.env["FUZZ_SECONDS"] ?? DEFAULT_SECONDS);

for (const target of chosen) {
  for (const file of files) console.log(`${file}: ${await target.run(readFileSync(file))}`);
  if (files.length > 0) continue;
  const report = await fuzz(target, corpusOf(target.name), { seed, ms });
  const rate = Math.round(report.inputs / (report.ms / 1_000));
  console.log(
    `${target.name}: ${report.inputs} inputs, ${rate} a second, ${report.outcomes} outcomes, seed ${seed}`,
  );
  if (report.failure === null) continue;
  console.error(report.failure.message);
  process.exitCode = 1;
}
