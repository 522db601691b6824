import { dashboardFiles } from "../monitoring/files.ts";
import { ruleGroups } from "../monitoring/rules.ts";
import {
  entriesOf,
  isSet,
  type Manifest,
  NAMESPACE_PATH,
  type Template,
  value,
} from "../template.ts";
import { labels } from "./names.ts";

const RULES = "hostmesh-rules";
const DASHBOARDS = "hostmesh-dashboards";

/** Alerts and dashboards, for clusters whose Prometheus and Grafana take them as objects. */
export function monitoringManifests(version: string): Manifest[] {
  return [prometheusRule(version), dashboards(version)];
}

function prometheusRule(version: string): Manifest {
  return {
    file: "prometheus-rule",
    when: isSet("prometheusRule.enabled"),
    object: {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PrometheusRule",
      metadata: {
        name: RULES,
        namespace: value(NAMESPACE_PATH),
        labels: { ...labels("daemon", version), ...entriesOf("prometheusRule.labels") },
      },
      spec: { groups: plain(ruleGroups()) },
    },
  };
}

function dashboards(version: string): Manifest {
  return {
    file: "grafana-dashboards",
    when: isSet("grafanaDashboards.enabled"),
    object: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: {
        name: DASHBOARDS,
        namespace: value(NAMESPACE_PATH),
        labels: { ...labels("daemon", version), ...entriesOf("grafanaDashboards.labels") },
      },
      data: Object.fromEntries(dashboardFiles()),
    },
  };
}

/** The same as plain data, which is a template without any expression. */
function plain(data: object): Template {
  return JSON.parse(JSON.stringify(data)) as Template;
}
