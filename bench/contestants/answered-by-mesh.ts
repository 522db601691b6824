const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const SAMPLE = /^hostmesh_requests_total\{(.*)\} (\S+)/;
/** Classes of answers that are no failure; a tunnel has no status. */
const GOOD: ReadonlySet<string> = new Set(["2xx", "0"]);

/**
 * By service (`namespace/name`), the requests and tunnels that came in by mutual TLS from another host and ended well, as
 * a daemon's metrics (Prometheus text format) tell.
 */
export function answeredByMesh(metrics: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (const line of metrics.split("\n")) {
    const [, labelText = "", value = ""] = SAMPLE.exec(line) ?? [];
    const labels = new Map([...labelText.matchAll(LABEL)].map(([, name, text]) => [name, text]));
    const service = labels.get("destination");
    const isGood = GOOD.has(labels.get("code") ?? "") && labels.get("error") === "";
    if (labels.get("entry") !== "mesh" || service === undefined || !isGood) continue;
    counts.set(service, (counts.get(service) ?? 0) + Number(value));
  }
  return counts;
}
