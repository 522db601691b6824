import type { Panel, Query, Unit } from "./dashboard.ts";

/** Grafana's own range: never less than four scrapes. */
export const RANGE = "$__rate_interval";

export const query = (expr: string, legend: string): Query => ({ expr, legend });

export function chart(title: string, unit: Unit, width: number, ...queries: Query[]): Panel {
  return { title, kind: "timeseries", unit, width, queries };
}

export function figure(title: string, unit: Unit, expr: string, bad?: Panel["bad"]): Panel {
  const queries = [query(expr, title)];
  return { title, kind: "stat", unit, width: 4, queries, ...(bad === undefined ? {} : { bad }) };
}
