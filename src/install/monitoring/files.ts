import { stringify } from "yaml";
import { grafanaJson } from "./dashboard.ts";
import { DASHBOARDS } from "./dashboards.ts";
import { ruleGroups } from "./rules.ts";

const HEAD = "# Made by npm run manifests from src/install/monitoring: change it there.\n";

/** The files below `manifests/monitoring/`: rules for Prometheus, and dashboards that Grafana imports. */
export function monitoringFiles(): Map<string, string> {
  const files = new Map<string, string>();
  files.set("prometheus-rules.yaml", HEAD + stringify({ groups: ruleGroups() }, { lineWidth: 0 }));
  for (const [name, text] of dashboardFiles()) files.set(`grafana/${name}`, text);
  return files;
}

/** Each dashboard as the text of a file, by its name. */
export function dashboardFiles(): Map<string, string> {
  return new Map(
    DASHBOARDS.map((dashboard) => [
      `${dashboard.uid}.json`,
      `${JSON.stringify(grafanaJson(dashboard), null, 2)}\n`,
    ]),
  );
}
