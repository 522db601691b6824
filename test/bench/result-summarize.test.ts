import assert from "node:assert/strict";
import { test } from "node:test";
import type { Sample } from "../../bench/model.ts";
import { latencyCurve, percentilesOf } from "../../bench/result/latency.ts";
import { virtualisation } from "../../bench/result/machine-facts.ts";
import type { ResultRow } from "../../bench/result/result.ts";
import { summarize } from "../../bench/result/summarize.ts";
import { resultTables } from "../../bench/result/table.ts";
import {
  DIRECT,
  HOSTMESH,
  histogram,
  load,
  PAIR,
  sample,
  sampleResult,
  WORKLOAD,
} from "./sample-result.ts";

const FIELD = [DIRECT, HOSTMESH, PAIR];

/** A round in which all answers took so many microseconds and so much CPU. */
function round(at: number, contestant: string, micros: number, cpuMs: number): Sample {
  const answers = histogram(Array.from({ length: 100 }, () => micros));
  const isDirect = contestant === "direct";
  return sample({
    ...{ contestant, round: at, load: load({ histogram: answers }) },
    cpu: isDirect ? null : { userMs: cpuMs / 4, systemMs: (cpuMs * 3) / 4 },
    ...(isDirect ? { contextSwitches: null, pssBytes: null, rssBytes: null } : {}),
  });
}

function rowOf(rows: readonly ResultRow[], name: string): ResultRow {
  const row = rows.find(({ contestant }) => contestant === name);
  assert.ok(row, `no row of ${name}`);
  return row;
}

/** HdrHistogram keeps three figures. */
function near(actual: number | undefined, expected: number): void {
  assert.ok(Math.abs((actual ?? Number.NaN) - expected) <= expected * 2e-3, `${actual}`);
}

test("a figure is the median of the rounds with the least and the greatest", () => {
  const samples = [4, 2, 9].map((cpuMs, at) => round(at, "hostmesh", 1_000, cpuMs));
  const row = rowOf(summarize(samples, FIELD, null, "same-host"), "hostmesh");
  assert.deepEqual(row.cpuMicrosPerRequest, { median: 40, min: 20, max: 90 });
  assert.deepEqual(row.systemMicrosPerRequest, { median: 30, min: 15, max: 67.5 });
  assert.deepEqual(row.throughput, { median: 100, min: 100, max: 100 });
  assert.deepEqual(row.rounds, { valid: 3, leftOut: 0 });
  assert.equal(row.ratioToBaseline, null);
  assert.equal(row.cpuSecondsPerGigabyte, null);
  assert.equal(row.contextSwitchesPerRequest?.median, 0.5);
});

test("one disturbed round does not own the tail, and is in the curve", () => {
  const samples = [1_000, 1_000, 50_000].map((micros, at) => round(at, "hostmesh", micros, 1));
  const row = rowOf(summarize(samples, FIELD, null, "same-host"), "hostmesh");
  near(row.latencyMs?.p999.median, 1);
  near(row.latencyMs?.p999.max, 50);
  near(row.latencyCurve.at(-1)?.ms, 50);
  near(row.latencyCurve[0]?.ms, 1);
});

test("ratios and added latency pair the values of one round, whatever order they came in", () => {
  // Everything was twice as slow in round 1. The quotient of the medians would be the same by chance only.
  const samples = [
    ...[round(1, "direct", 400, 0), round(0, "direct", 200, 0), round(2, "direct", 200, 0)],
    ...[round(0, "hostmesh", 500, 2), round(2, "hostmesh", 700, 3), round(1, "hostmesh", 900, 5)],
    ...[
      round(0, PAIR.name, 1_000, 4),
      round(1, PAIR.name, 2_000, 8),
      round(2, PAIR.name, 1_000, 4),
    ],
  ];
  const rows = summarize(samples, FIELD, PAIR.name, "same-host");
  assert.deepEqual(
    rows.map(({ contestant }) => contestant),
    ["direct", "hostmesh", PAIR.name],
  );
  const row = rowOf(rows, "hostmesh");
  assert.deepEqual(row.ratioToBaseline?.cpu, { median: 0.625, min: 0.5, max: 0.75 });
  near(row.ratioToBaseline?.p99?.median, 0.5);
  near(row.ratioToBaseline?.p99?.min, 0.45);
  near(row.addedLatencyMs?.p50.median, 0.5);
  near(row.addedLatencyMs?.p50.min, 0.3);
  assert.equal(rowOf(rows, "direct").addedLatencyMs, null);
  assert.equal(rowOf(rows, "direct").ratioToBaseline?.cpu, null);
  near(rowOf(rows, "direct").ratioToBaseline?.p50?.median, 0.2);
});

test("every row says what hostmesh takes of it: with TLS where the row has it, else the shared proxy", () => {
  const secure = { ...HOSTMESH, name: "hostmesh pair, mTLS h1", between: "mtls-http1" } as const;
  const own = { ...HOSTMESH, name: "hostmesh pair", mode: "sidecar", between: "plain" } as const;
  const plain = { ...PAIR, name: "haproxy pair", between: "plain" } as const;
  const field = [DIRECT, own, HOSTMESH, secure, plain, PAIR];
  const samples = [0, 1, 2].flatMap((at) => [
    round(at, "direct", 100, 0),
    round(at, own.name, 3_000, 20),
    round(at, HOSTMESH.name, 500, 4 + 2 * at),
    round(at, secure.name, 2_000, 16),
    round(at, plain.name, 1_000, 8),
    round(at, PAIR.name, 1_000, 4),
  ]);
  const rows = summarize(samples, field, null, "cross-host");
  const ratioOf = (name: string) => rowOf(rows, name).hostmeshRatio;
  for (const name of ["direct", own.name, HOSTMESH.name, secure.name]) {
    assert.equal(ratioOf(name), null, name);
  }
  assert.equal(ratioOf(plain.name)?.contestant, HOSTMESH.name);
  assert.deepEqual(ratioOf(plain.name)?.cpu, { median: 0.75, min: 0.5, max: 1 });
  near(ratioOf(plain.name)?.p99?.median, 0.5);
  assert.equal(ratioOf(PAIR.name)?.contestant, secure.name);
  assert.deepEqual(ratioOf(PAIR.name)?.cpu, { median: 4, min: 4, max: 4 });
  // On one host the shared proxy is there instead of any pair, and else hostmesh's own pair is.
  const without = summarize(samples, [own, HOSTMESH, PAIR], null, "same-host");
  assert.equal(rowOf(without, PAIR.name).hostmeshRatio?.contestant, HOSTMESH.name);
  const alone = summarize(samples, [own, plain], null, "same-host");
  assert.equal(rowOf(alone, plain.name).hostmeshRatio?.contestant, own.name);
  assert.equal(rowOf(summarize(samples, [PAIR], null, "same-host"), PAIR.name).hostmeshRatio, null);
});

test("a round with problems is left out of figures and pairs, and its errors are not hidden", () => {
  const bad = {
    ...round(1, "hostmesh", 90_000, 500),
    problems: ["process 7 ended"],
  };
  const samples = [
    ...[0, 1, 2].map((at) => round(at, PAIR.name, 1_000, 4)),
    ...[round(0, "hostmesh", 500, 2), round(2, "hostmesh", 500, 2)],
    { ...bad, load: { ...bad.load, errors: { reset: 5, "status 503": 2 } } },
  ];
  const row = rowOf(summarize(samples, FIELD, PAIR.name, "same-host"), "hostmesh");
  assert.deepEqual(row.rounds, { valid: 2, leftOut: 1 });
  assert.deepEqual(row.problems, ["round 2: process 7 ended"]);
  assert.deepEqual(row.errors, { median: 0, min: 0, max: 7 });
  assert.deepEqual(row.errorKinds, { reset: 5, "status 503": 2 });
  assert.deepEqual(row.ratioToBaseline?.cpu, { median: 0.5, min: 0.5, max: 0.5 });
  near(row.latencyCurve.at(-1)?.ms, 0.5);
  assert.ok(row.marks.includes("rounds-left-out"));
});

test("without a valid round there is no figure, and the row says so", () => {
  const samples = [
    sample({ problems: ["it would not start"] }),
    sample({ round: 1, load: load({ requests: 0 }) }),
    sample({ round: 2, load: load({ histogram: "nonsense" }) }),
    sample({ round: 3, load: load({ histogram: histogram([]) }) }),
  ];
  const row = rowOf(summarize(samples, FIELD, null, "same-host"), "hostmesh");
  assert.equal(row.throughput, null);
  assert.equal(row.latencyMs, null);
  assert.deepEqual(row.latencyCurve, []);
  assert.deepEqual(row.marks, ["invalid"]);
  assert.equal(row.bottleneck, "unknown");
  assert.equal(row.problems.length, 4);
  assert.match(row.problems[1] ?? "", /round 2: no request was completed/);
  assert.match(row.problems[2] ?? "", /round 3: the latencies cannot be read/);
});

test("each workload has rows of its own, with its own baseline", () => {
  const large = { ...WORKLOAD, bodyBytes: 10_240 };
  const samples = [
    sample({}),
    sample({ contestant: PAIR.name, cpu: { userMs: 2, systemMs: 2 } }),
    sample({ workload: large, cpu: { userMs: 3, systemMs: 3 } }),
  ];
  const rows = summarize(samples, FIELD, PAIR.name, "cross-host");
  assert.deepEqual(
    rows.map((row) => [row.contestant, row.bodyBytes]),
    [
      ["hostmesh", 115],
      [PAIR.name, 115],
      ["hostmesh", 10_240],
    ],
  );
  assert.equal(rows[0]?.ratioToBaseline?.cpu?.median, 0.5);
  assert.equal(rows[2]?.ratioToBaseline, null);
  assert.deepEqual(
    rows.map(({ tls }) => tls),
    [false, true, false],
  );
  assert.equal(rows[0]?.topology, "cross-host");
});

test("opaque TCP costs CPU seconds of 10^9 bytes, and that is what its ratio compares", () => {
  const tcp = { ...WORKLOAD, protocol: "tcp" as const, rate: null };
  // Twice the bytes with as many answers: cheaper by the byte, dearer by the answer.
  const own = load({ bodyBytes: 2e9, requests: 100 });
  const samples = [
    sample({ workload: tcp, load: own, cpu: { userMs: 300, systemMs: 700 } }),
    sample({
      contestant: PAIR.name,
      workload: tcp,
      load: load({ bodyBytes: 1e9 }),
      cpu: { userMs: 800, systemMs: 0 },
    }),
  ];
  const [row, pair] = summarize(samples, FIELD, PAIR.name, "same-host");
  assert.equal(row?.cpuSecondsPerGigabyte?.median, 0.5);
  assert.equal(row?.ratioToBaseline?.cpu?.median, 0.625);
  assert.equal(row?.gigabytesPerCpuSecond?.median, 2);
  assert.equal(row?.ratioToBaseline?.gigabytesPerCpuSecond?.median, 1.6);
  assert.equal(pair?.hostmeshRatio?.gigabytesPerCpuSecond?.median, 1.6);
  const lines = resultTables(
    sampleResult({ results: [row, pair].filter((one) => one !== undefined) }),
    {
      ...{ width: Number.POSITIVE_INFINITY, color: false },
    },
  );
  assert.match(lines[1] ?? "", /CPU s\/GB .*x CPU .*GB\/CPU s .*hm\/ GB\/CPU s/);
  assert.match(lines[3] ?? "", /0\.800 .* 1\.25 .* 1\.60x/);
});

test("memory, connections and handshakes stand in the row by host and in sum", () => {
  const [row] = summarize(
    [sample({ pssBytes: { a: 3, b: 4 }, handshakes: { tcp: 9, tls: 2 } })],
    FIELD,
    null,
    "cross-host",
  );
  assert.equal(row?.pssBytes?.median, 7);
  assert.equal(row?.pssBytesByHost?.b.median, 4);
  assert.equal(row?.handshakes?.tls.median, 2);
  assert.equal(row?.openConnections?.median, 128);
});

const MARKED: readonly (readonly [string, Partial<Sample>])[] = [
  ["load-bound", { bottleneck: "upstream" }],
  ["rate-missed", { workload: { ...WORKLOAD, rate: 103 } }],
  ["late-load", { load: load({ lateP99Micros: 300 }) }],
  ["disturbed", { foreignShare: 0.2 }],
  ["shared-core", { isCpuShared: true }],
  ["coarse", { cpu: { userMs: 50, systemMs: 40 } }],
];

for (const [mark, given] of MARKED) {
  test(`a row is marked ${mark} for that reason alone`, () => {
    const usual = { workload: { ...WORKLOAD, rate: 100 }, cpu: { userMs: 60, systemMs: 40 } };
    const [plain] = summarize([sample(usual)], FIELD, null, "same-host");
    assert.deepEqual(plain?.marks, []);
    const [row] = summarize([sample({ ...usual, ...given })], FIELD, null, "same-host");
    assert.deepEqual(row?.marks, [mark]);
  });
}

test("a round in which no CPU time was seen does not count", () => {
  const rounds = [sample({ cpu: { userMs: 0, systemMs: 0 } }), sample({ round: 1 })];
  const [row] = summarize(rounds, FIELD, null, "same-host");
  assert.deepEqual(row?.rounds, { valid: 1, leftOut: 1 });
  assert.match(row?.problems.join() ?? "", /too short to see any CPU time/);
});

test("the bottleneck of a row is that of most rounds", () => {
  const rounds = (["rate", "proxy", "proxy"] as const).map((bottleneck, at) =>
    sample({ round: at, bottleneck }),
  );
  assert.equal(summarize(rounds, FIELD, null, "same-host")[0]?.bottleneck, "proxy");
});

test("percentiles are those of the histogram, and its curve is bounded and rises", () => {
  const micros = Array.from({ length: 10_000 }, (_, at) => at + 1);
  const encoded = histogram(micros);
  const { p50, p90, p99, p999 } = percentilesOf(encoded);
  for (const [actual, expected] of [
    [p50, 5],
    [p90, 9],
    [p99, 9.9],
    [p999, 9.99],
  ] as const) {
    near(actual, expected);
  }
  const curve = latencyCurve([encoded, histogram(micros.map((one) => one * 100))]);
  assert.ok(curve.length > 40 && curve.length < 60, `${curve.length}`);
  for (const [at, { ms, percentile }] of curve.entries()) {
    const before = curve[at - 1];
    assert.ok(before === undefined || (ms >= before.ms && percentile > before.percentile));
  }
  // The slower of the two, which the other's range does not hold.
  assert.ok((curve.at(-1)?.ms ?? 0) > 990);
});

test("a virtual machine is told by the CPU flag or by its names", () => {
  assert.equal(virtualisation("flags\t\t: fpu vme hypervisor lm\n", ""), "yes");
  assert.equal(virtualisation("flags : fpu hypervisor", "QEMU Standard PC"), "QEMU Standard PC");
  assert.equal(
    virtualisation("Features : fp asimd", "QEMU KVM Virtual Machine"),
    "QEMU KVM Virtual Machine",
  );
  assert.equal(virtualisation("flags : fpu vme lm", "Dell Inc. PowerEdge R640"), null);
});
