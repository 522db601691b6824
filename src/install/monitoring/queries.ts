/**
 * Parts that the queries of rules and dashboards share. A call between hosts is counted by both daemons: by the caller's with
 * the entry by which it came from its workload, by the callee's as `mesh`. What this selects counts each call once.
 */
const ONCE = 'entry=~"captured|explicit|inbound"';

const selector = (...parts: string[]) => `{${parts.filter((part) => part !== "").join(",")}}`;

/** Requests per second. `window`: a range as `5m`; `where`: more matchers; `by`: labels that stay. */
export function requestRate(window: string, by: string, where = ""): string {
  return `sum by (${by}) (rate(hostmesh_requests_total${selector(ONCE, where)}[${window}]))`;
}

/**
 * Failed requests per second, by the same measure as `hostmesh stat`: a server error of the endpoint, or any error of the
 * mesh. 0 where there are requests and none failed.
 */
export function failureRate(window: string, by: string, where = ""): string {
  const rate = (what: string) =>
    `rate(hostmesh_requests_total${selector(ONCE, what, where)}[${window}])`;
  const failed = `sum by (${by}) (${rate('code="5xx"')} or ${rate('error!=""')})`;
  return `(${failed} or 0 * ${requestRate(window, by, where)})`;
}

/** Share of requests that succeeded, 0 to 1. */
export function successRatio(window: string, by: string, where = ""): string {
  return `1 - ${failureRate(window, by, where)} / ${requestRate(window, by, where)}`;
}

/** A quantile of the duration of HTTP requests, in seconds. */
export function latency(quantile: number, window: string, by: string, where = ""): string {
  const buckets = `hostmesh_request_duration_seconds_bucket${selector(ONCE, 'protocol="http"', where)}`;
  const labels = by === "" ? "le" : `le, ${by}`;
  return `histogram_quantile(${quantile}, sum by (${labels}) (rate(${buckets}[${window}])))`;
}
