import { entriesOf, isSet, type Manifest, value } from "../template.ts";
import { DAEMON, labels, metadata, REGISTRY, selectorLabels } from "./names.ts";

/** What the Prometheus operator scrapes. */
export function podMonitor(component: "registry" | "daemon", version: string): Manifest {
  const name = component === "registry" ? REGISTRY : DAEMON;
  return {
    file: `${component}-pod-monitor`,
    when: isSet("podMonitor.enabled"),
    object: {
      apiVersion: "monitoring.coreos.com/v1",
      kind: "PodMonitor",
      metadata: {
        ...metadata(name, component, version),
        labels: { ...labels(component, version), ...entriesOf("podMonitor.labels") },
      },
      spec: {
        selector: { matchLabels: selectorLabels(component) },
        podMetricsEndpoints: [
          {
            port: "metrics",
            path: "/metrics",
            interval: value("podMonitor.interval"),
            scrapeTimeout: value("podMonitor.scrapeTimeout"),
          },
        ],
      },
    },
  };
}
