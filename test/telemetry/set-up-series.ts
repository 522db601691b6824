import type { FailureTeller } from "../../src/telemetry/failure-teller.ts";
import { Series } from "../../src/telemetry/series.ts";
import type { SeriesGroup } from "../../src/telemetry/series-reader.ts";
import { SeriesReader } from "../../src/telemetry/series-reader.ts";
import type { TableName } from "../../src/telemetry/slot-table.ts";
import { type ExchangeLog, WorkerRecorder } from "../../src/telemetry/worker-recorder.ts";

/** Regions of some workers side by side in one buffer, recorders on them, and the main thread's reader. */
export function setUpSeries(
  workers = 1,
  perTable = 64,
  log: ExchangeLog | null = null,
  failures: Pick<FailureTeller, "tell"> | null = null,
) {
  const stride = Series.bytesFor(perTable);
  const buffer = new SharedArrayBuffer(stride * workers);
  const regions = Array.from(
    { length: workers },
    (_, index) => new Series(buffer, index * stride, perTable),
  );
  const series = new SeriesReader(regions);
  const start = (worker: number): WorkerRecorder =>
    new WorkerRecorder({
      series: regions[worker] ?? regions[0]!,
      known: series.known(worker),
      onSeries: (label) => series.learn(worker, label),
      ...{ log, failures },
    });
  return { series, regions, start, recorders: regions.map((_, index) => start(index)) };
}

export function groupOf(series: SeriesReader, table: TableName, ...labels: string[]): SeriesGroup {
  const found = [...series.groups(table)].filter((group) => group.key === labels.join("\0"));
  if (found.length !== 1) throw new Error(`${found.length} groups of ${table} ${labels.join(" ")}`);
  return found[0]!;
}
