import { paint, printable } from "../../src/core/terminal.ts";
import type { Sample } from "../model.ts";
import { grouped, significant } from "../result/format-figure.ts";
import { readRound } from "../result/round.ts";
import { formatAskedRate, formatBody } from "../result/workload-label.ts";

/** One measurement as a line of the progress. `nameWidth` is the length of the longest name. */
export function sampleLine(
  sample: Sample,
  repeat: number,
  nameWidth: number,
  color: boolean,
): string {
  const { contestant, workload, round } = sample;
  const what = [
    `${round + 1}/${repeat}`.padStart(String(repeat).length * 2 + 1),
    printable(contestant).padEnd(nameWidth),
    formatBody(workload.bodyBytes).padStart(8),
    formatAskedRate(workload.rate).padStart(9),
  ];
  const read = readRound(sample);
  if ("problems" in read) {
    const why = paint(`INVALID: ${printable(read.problems.join("; "))}`, "bad", color);
    return [...what, why].join("  ");
  }
  const isTcp = read.cpuSecondsPerGigabyte !== null;
  const cost = isTcp ? read.cpuSecondsPerGigabyte : read.cpuMicros;
  const costText = cost === null ? "" : `${significant(cost)} ${isTcp ? "CPU s/GB" : "µs CPU/req"}`;
  return [
    ...what,
    `${grouped(read.throughput)} req/s`.padStart(15),
    `p99 ${significant(read.latency.p99)} ms`.padEnd(13),
    costText.padEnd(17),
    paint(`limit: ${sample.bottleneck}`, "dim", color),
  ].join("  ");
}
