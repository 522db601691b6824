import { parseArgs } from "node:util";
import type { RequestFacts } from "../../src/core/facts.ts";
import type { TapEvent, TapFilter } from "../../src/sight/tap-event.ts";
import { newBudget, REFILLS_PER_SECOND, refill } from "../../src/telemetry/tap/tap-budget.ts";
import { WorkerTaps } from "../../src/telemetry/tap/worker-taps.ts";

/**
 * What a tap costs an exchange in a worker, in nanoseconds: `node bench/tap/main.ts [--rounds N]`. The budget is that of 10,000
 * exchanges a second with the default limit of 100 events, so one of 100 is shown and the others are counted only.
 */
const EXCHANGES = 200_000;
const RATE = 10_000;
const PER_SECOND = 100;

const FACTS: RequestFacts = {
  ...{ entry: "captured", protocol: "http", version: 1, upstreamVersion: 1 },
  source: { namespace: "shop", name: "web", key: "shop/web", slot: 0 },
  ...{ sourceAddress: "10.0.0.5", details: null, service: null, endpoint: null },
  ...{ route: "default", security: "same_host", method: "GET", httpVersion: "HTTP/1.1" },
  ...{ target: "/products?page=2", authority: "catalog", status: 200, grpcStatus: -1 },
  ...{ error: null, requestBytes: 0, responseBytes: 1_000, requestMessages: 0 },
  ...{ responseMessages: 0, startMs: 0, durationMs: 3, queueMs: 0, upstreamMs: 2, proxyMs: 0.1 },
  ...{ attempts: 1, requestId: "11111111-2222-4333-8444-555555555555", ids: "" },
  traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
};

/** Nanoseconds for each exchange. */
function measure(filter: TapFilter | null): { ns: number; events: number } {
  let events = 0;
  const post = (_: number, batch: readonly TapEvent[]) => {
    events += batch.length;
  };
  const taps = new WorkerTaps({ host: "node-a", post });
  const budget = newBudget();
  const words = new Int32Array(budget);
  if (filter !== null) taps.add({ id: 1, filter, budget });
  const perTick = PER_SECOND / REFILLS_PER_SECOND;
  const from = process.hrtime.bigint();
  for (let at = 0; at < EXCHANGES; at += 1) {
    if (at % (RATE / REFILLS_PER_SECOND) === 0) refill(words, perTick, perTick);
    if (!taps.isEmpty) taps.see(FACTS);
  }
  return { ns: Number(process.hrtime.bigint() - from) / EXCHANGES, events };
}

const CASES: readonly [name: string, filter: TapFilter | null][] = [
  ["no tap", null],
  ["a tap that nothing matches", { source: "shop/other" }],
  ["a tap of a status and a path", { status: "5xx", pathPrefix: "/api" }],
  ["a tap that everything matches", {}],
];

const { values } = parseArgs({ options: { rounds: { type: "string", default: "5" } } });
for (const [name, filter] of CASES) {
  measure(filter);
  const rounds = Array.from({ length: Number(values.rounds) }, () => measure(filter));
  const best = Math.min(...rounds.map(({ ns }) => ns));
  const share = (best * RATE) / 1e9;
  const shown = rounds[0]?.events ?? 0;
  process.stdout.write(
    `${name.padEnd(32)} ${best.toFixed(0).padStart(6)} ns  ${(share * 100).toFixed(3)} % of a CPU at ${RATE}/s  ${shown} events of ${EXCHANGES}\n`,
  );
}
