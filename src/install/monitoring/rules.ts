import { ALERTS, type Alert } from "./alerts.ts";
import { failureRate, latency, requestRate, successRatio } from "./queries.ts";

/** A rule as Prometheus takes it. */
export type Rule =
  | { readonly record: string; readonly expr: string }
  | {
      readonly alert: string;
      readonly expr: string;
      readonly for: string;
      readonly labels: { readonly severity: string };
      readonly annotations: { readonly summary: string; readonly description: string };
    };

export interface RuleGroup {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** The golden signals of each service; the alerts and people's own rules build on them. */
const RECORDED: readonly Rule[] = [
  { record: "hostmesh:service_requests:rate5m", expr: requestRate("5m", "destination") },
  { record: "hostmesh:service_failures:rate5m", expr: failureRate("5m", "destination") },
  { record: "hostmesh:service_success:ratio5m", expr: successRatio("5m", "destination") },
  { record: "hostmesh:service_latency:p50_5m", expr: latency(0.5, "5m", "destination") },
  { record: "hostmesh:service_latency:p99_5m", expr: latency(0.99, "5m", "destination") },
  {
    record: "hostmesh:service_in_flight:sum",
    expr: "sum by (destination) (hostmesh_requests_in_flight)",
  },
];

/** Every rule: what Prometheus reads as a file, and the Prometheus operator as `spec` of a PrometheusRule. */
export function ruleGroups(): RuleGroup[] {
  return [
    { name: "hostmesh-recorded", rules: RECORDED },
    ...Object.entries(ALERTS).map(([name, alerts]) => ({
      name: `hostmesh-${name}`,
      rules: alerts.map(alertRule),
    })),
  ];
}

function alertRule({ alert, expr, for: after, severity, summary, description }: Alert): Rule {
  const annotations = { summary, description };
  return { alert, expr, for: after, labels: { severity }, annotations };
}
