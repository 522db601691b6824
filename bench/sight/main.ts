import { runComparison } from "./compare.ts";

/**
 * What it costs to see traffic: CPU time that a worker spends on a request with nothing of it, with each part, and with what a host has
 * by default where it traces. A thread each, with the data path that workers have, takes the same load in turns. The second "off" is
 * the same as the first: what lies between the two means nothing.
 */
const OFF = { sampling: null, metrics: false, tap: false };

await runComparison(
  {
    command: "node bench/sight/main.ts",
    title: "seen",
    cases: [
      { name: "off", ...OFF },
      { name: "off, again", ...OFF },
      { name: "metrics", ...OFF, metrics: true },
      { name: "tracing at 1 %", ...OFF, sampling: 0.01 },
      { name: "metrics, tracing at 1 %, tap off", ...OFF, metrics: true, sampling: 0.01 },
      { name: "metrics, a tap that matches nothing", ...OFF, metrics: true, tap: true },
    ],
  },
  process.argv.slice(2),
);
