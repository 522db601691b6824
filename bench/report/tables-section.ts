import type { Figure } from "../model.ts";
import {
  grouped,
  mebibytes,
  medianOf,
  NOTHING,
  rangeOf,
  ratioOf,
  significant,
} from "../result/format-figure.ts";
import { MARKS } from "../result/marks.ts";
import type { BenchResult, Mark, ResultRow } from "../result/result.ts";
import { formatBetween } from "../result/workload-label.ts";
import { type ColumnOf, figureTable } from "./figure-table.ts";
import { Markup, markup } from "./markup.ts";
import type { Section } from "./section.ts";
import { workloadsOf } from "./workloads.ts";

type Column = ColumnOf<ResultRow>;

/** Every figure of every row, workload by workload; null where there is no row. */
export function tablesSection({ results, baseline }: BenchResult): Section | null {
  if (results.length === 0) return null;
  const tables = workloadsOf(results).map(
    ({ label, rows }, at) =>
      markup`<details${at === 0 ? new Markup(" open") : null}><summary>${label}</summary>${figureTable(`Speed: ${label}`, speedColumns(), rows)}${figureTable(`Cost: ${label}`, costColumns(), rows)}${figureTable(`Added latency and load: ${label}`, loadColumns(), rows)}</details>`,
  );
  const marks = [...new Set(results.flatMap((row) => row.marks))];
  const text = markup`<p>Each figure is the median of the valid rounds, with the least and the greatest round below it. ${baseline === null ? null : markup`Quotients refer to ${baseline} and are taken within each round.`} Those named hm/ are a figure of hostmesh divided by the row's. Added latency is the same percentile of the direct way in the same round taken away; noise can make it negative.</p>`;
  const body = markup`${text}${markList(marks)}${tables}`;
  return { id: "tables", heading: "All figures", body };
}

function markList(marks: readonly Mark[]): Markup | null {
  if (marks.length === 0) return null;
  return markup`<p>Marks:</p><ul class="plain">${marks.map((mark) => markup`<li><b>${mark}</b>: ${MARKS[mark]}</li>`)}</ul>`;
}

const WHO: Column = { title: "contestant", isText: true, cell: whoCell };

function speedColumns(): Column[] {
  return [
    WHO,
    figure("req/s", ({ throughput }) => throughput, grouped),
    figure("p50 ms", ({ latencyMs }) => latencyMs?.p50),
    figure("p90 ms", ({ latencyMs }) => latencyMs?.p90),
    figure("p99 ms", ({ latencyMs }) => latencyMs?.p99),
    figure("p99.9 ms", ({ latencyMs }) => latencyMs?.p999),
    ratio("x req/s", ({ ratioToBaseline }) => ratioToBaseline?.throughput),
    ratio("x p50", ({ ratioToBaseline }) => ratioToBaseline?.p50),
    ratio("x p99", ({ ratioToBaseline }) => ratioToBaseline?.p99),
    ratio("x p99.9", ({ ratioToBaseline }) => ratioToBaseline?.p999),
    ratio("hm/ p99", ({ hostmeshRatio }) => hostmeshRatio?.p99),
    { title: "errors", cell: errorCell },
    { title: "rounds", cell: ({ rounds }) => `${rounds.valid}/${rounds.valid + rounds.leftOut}` },
  ];
}

function costColumns(): Column[] {
  return [
    WHO,
    { title: "between", isText: true, cell: ({ between }) => formatBetween(between) },
    figure("CPU µs/req", ({ cpuMicrosPerRequest }) => cpuMicrosPerRequest),
    figure("CPU s/GB", ({ cpuSecondsPerGigabyte }) => cpuSecondsPerGigabyte),
    ratio("x CPU", ({ ratioToBaseline }) => ratioToBaseline?.cpu),
    ratio("hm/ CPU", ({ hostmeshRatio }) => hostmeshRatio?.cpu),
    figure("GB/CPU s", ({ gigabytesPerCpuSecond }) => gigabytesPerCpuSecond),
    ratio("hm/ GB/CPU s", ({ hostmeshRatio }) => hostmeshRatio?.gigabytesPerCpuSecond),
    figure("system µs", ({ systemMicrosPerRequest }) => systemMicrosPerRequest),
    figure("switches/req", ({ contextSwitchesPerRequest }) => contextSwitchesPerRequest),
    figure("PSS MiB", ({ pssBytes }) => pssBytes, mebibytes),
    figure("host a", onOne("a"), mebibytes),
    figure("host b", onOne("b"), mebibytes),
    ratio("x PSS", ({ ratioToBaseline }) => ratioToBaseline?.pss),
    figure("RSS MiB", ({ rssBytes }) => rssBytes, mebibytes),
    figure("open conns", ({ openConnections }) => openConnections, grouped),
    figure("TCP opens", ({ handshakes }) => handshakes?.tcp, grouped),
    figure("TLS opens", ({ handshakes }) => handshakes?.tls, grouped),
  ];
}

function loadColumns(): Column[] {
  return [
    WHO,
    figure("added p50 ms", ({ addedLatencyMs }) => addedLatencyMs?.p50),
    figure("added p90", ({ addedLatencyMs }) => addedLatencyMs?.p90),
    figure("added p99", ({ addedLatencyMs }) => addedLatencyMs?.p99),
    figure("added p99.9", ({ addedLatencyMs }) => addedLatencyMs?.p999),
    figure("late p99 ms", ({ lateP99Ms }) => lateP99Ms),
    figure("generator µs", ({ generatorMicrosPerRequest: cost }) => cost),
    figure("load busy", ({ loadBusy }) => loadBusy, percent),
    figure("proxy busy", ({ proxyBusy }) => proxyBusy, percent),
    { title: "limit", isText: true, cell: ({ bottleneck }) => bottleneck },
  ];
}

/** Of hosts apart only where there are two: on one host all is on `a`. */
function onOne(host: "a" | "b"): (row: ResultRow) => Figure | null | undefined {
  return ({ topology, pssBytesByHost }) =>
    topology === "cross-host" ? pssBytesByHost?.[host] : null;
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function figure(
  title: string,
  pick: (row: ResultRow) => Figure | null | undefined,
  format: (value: number) => string = significant,
): Column {
  const cell = (row: ResultRow) => {
    const value = pick(row);
    if (value === null || value === undefined) return NOTHING;
    const isSame = format(value.min) === format(value.max);
    return isSame
      ? medianOf(value, format)
      : markup`${medianOf(value, format)}<small>${rangeOf(value, format)}</small>`;
  };
  return { title, cell };
}

function ratio(title: string, pick: (row: ResultRow) => Figure | null | undefined): Column {
  return { title, cell: (row) => ratioOf(pick(row) ?? null) };
}

function errorCell({ errors, errorKinds }: ResultRow): Markup | string {
  const kinds = Object.entries(errorKinds).map(([kind, count]) => `${kind} ${grouped(count)}`);
  if (kinds.length === 0) return grouped(errors.max);
  return markup`${grouped(errors.max)}<small class="kinds">${kinds.join(", ")}</small>`;
}

/** Marks stand beside the name, so that no row is read without them. */
function whoCell({ contestant, marks }: ResultRow): Markup | string {
  if (marks.length === 0) return contestant;
  return markup`${contestant}<small class="mark-list">${marks.join(", ")}</small>`;
}
