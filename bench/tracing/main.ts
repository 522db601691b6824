import { runComparison } from "../sight/compare.ts";

/**
 * CPU time that a worker spends on a request with tracing off, at 1 % and at 100 %: a thread each, with the data path that workers
 * have, takes the same load in turns. Recorded requests have two spans, which go as far as the thread that exports them.
 */
const SEEN = { metrics: true, tap: false };

await runComparison(
  {
    command: "node bench/tracing/main.ts",
    title: "tracing",
    cases: [
      { name: "off", sampling: null, ...SEEN },
      { name: "1 %", sampling: 0.01, ...SEEN },
      { name: "100 %", sampling: 1, ...SEEN },
    ],
  },
  process.argv.slice(2),
);
