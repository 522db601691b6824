import type { ResultRow } from "../result/result.ts";
import { workloadKey } from "../result/workload-key.ts";
import {
  formatAskedRate,
  formatBody,
  formatCall,
  formatConnections,
  formatProtocol,
} from "../result/workload-label.ts";

/** All contestants under one workload. */
export interface WorkloadRows {
  /** Says what sets this workload apart from the others of the result, as `8,000/s, body 115 B`. */
  readonly label: string;
  readonly rate: number | null;
  readonly rows: readonly ResultRow[];
}

/** Rows by workload. What is the same in all of them is not repeated in each label. */
export function workloadsOf(results: readonly ResultRow[]): WorkloadRows[] {
  const groups = [...Map.groupBy(results, workloadKey).values()];
  const parts: readonly ((row: ResultRow) => string)[] = [
    ({ rate }) => (rate === null ? "full load" : formatAskedRate(rate)),
    ({ bodyBytes }) => `body ${formatBody(bodyBytes)}`,
    ({ protocol }) => formatProtocol(protocol),
    formatCall,
    formatConnections,
    ({ services }) => `${services} services`,
  ];
  // Rate and body are what readers look for; they stand in every label.
  const telling = parts.filter((of, at) => at < 2 || new Set(results.map(of)).size > 1);
  return groups.flatMap((rows) => {
    const [first] = rows;
    if (first === undefined) return [];
    return [{ label: telling.map((of) => of(first)).join(", "), rate: first.rate, rows }];
  });
}

/** What all workloads have in common, as `HTTP/1.1, 64 connections`. */
export function commonLabel(results: readonly ResultRow[]): string {
  const parts: readonly ((row: ResultRow) => string)[] = [
    ({ protocol }) => formatProtocol(protocol),
    formatCall,
    formatConnections,
    ({ services }) => (services === 1 ? "1 service" : `${services} services`),
    ({ topology }) => topology.replace("-", " "),
  ];
  return parts
    .map((of) => [...new Set(results.map(of))])
    .filter((all) => all.length === 1)
    .flat()
    .filter((text) => text !== "")
    .join(", ");
}
