import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ALERTS } from "../../src/install/monitoring/alerts.ts";
import { DASHBOARDS } from "../../src/install/monitoring/dashboards.ts";
import { ruleGroups } from "../../src/install/monitoring/rules.ts";
import { until } from "../helpers/until.ts";
import { type Prometheus, skipPrometheus, startPrometheus } from "./prometheus.ts";
import { RoutingStage } from "./routing-stage.ts";

const ruleFile = fileURLToPath(
  new URL("../../manifests/monitoring/prometheus-rules.yaml", import.meta.url),
);
const METRIC = /\bhostmesh[a-z0-9_:]+/g;

const RULES = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: flaky }
spec:
  hosts: [flaky]
  http:
    - retries: { attempts: 1, retryOn: 5xx }
      route: [{ destination: { host: flaky } }]
`;

/** As Grafana fills a query in that shows everything. */
function filledIn(expr: string): string {
  return expr.replaceAll("$__rate_interval", "30s").replaceAll(/\$(service|instance)\b/g, ".*");
}

const groups = ruleGroups().flatMap(({ rules }) => rules);
const recorded = new Set(groups.flatMap((rule) => ("record" in rule ? [rule.record] : [])));

/** A daemon with a service that works and one that fails, scraped until there are rates. */
async function scraped(t: TestContext): Promise<{ prometheus: Prometheus; metrics: Set<string> }> {
  const stage = await RoutingStage.start(t);
  const { folder } = stage;
  const targets = [stage.metrics, stage.registryMetrics ?? assert.fail()];
  const prometheus = await startPrometheus(t, { folder, ruleFile, targets });
  const flaky = await stage.instance("flaky", "flaky-1");
  await stage.instance("web", "web-1");
  await stage.apply(RULES);
  flaky.answer = (_, response) => response.writeHead(500).end();
  const readings = 'count_over_time(hostmesh_requests_total{destination="default/flaky"}[1m]) > 3';
  await until(
    async () => {
      await Promise.all(["web/", "flaky/", "nobody/"].map((target) => stage.ask(target)));
      return (await prometheus.query(readings)).length > 0;
    },
    { timeoutMs: 30_000, what: "readings" },
  );
  const text = async (port: number) => (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const body = (await Promise.all(targets.map(text))).join("");
  const metrics = [...body.matchAll(/^# TYPE (\S+) (\S+)/gm)].flatMap(([, name = "", type]) =>
    type === "histogram" ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );
  return { prometheus, metrics: new Set(metrics) };
}

test("rules and dashboards with a real Prometheus and a daemon", {
  skip: skipPrometheus,
}, async (t) => {
  const { prometheus, metrics } = await scraped(t);

  for (const { title, rows } of DASHBOARDS) {
    await t.test(`${title}: every query finds something`, async () => {
      for (const panel of rows.flatMap((row) => row.panels)) {
        for (const { expr } of panel.queries) {
          const found = await prometheus.query(filledIn(expr));
          assert.ok(found.length > 0, `${panel.title}: nothing is found by ${filledIn(expr)}`);
        }
      }
    });
  }

  await t.test("every rule that records has recorded", async () => {
    for (const name of recorded) {
      const isThere = async () => (await prometheus.query(name)).length > 0;
      await until(isThere, { timeoutMs: 10_000, what: name });
    }
  });

  await t.test("every alert is taken, and speaks of metrics that are there", async () => {
    for (const { alert, expr } of Object.values(ALERTS).flat()) {
      await prometheus.query(expr);
      const named = expr.match(METRIC) ?? [];
      assert.ok(named.length > 0, alert);
      for (const name of named) assert.ok(metrics.has(name) || recorded.has(name), name);
    }
  });

  await t.test("a service that fails is found by its alert, and the other is not", async () => {
    const failing = Object.values(ALERTS)
      .flat()
      .find(({ alert }) => alert === "HostmeshServiceFailing");
    const found = JSON.stringify(await prometheus.query(failing?.expr ?? ""));
    assert.match(found, /default\/flaky/);
    assert.doesNotMatch(found, /default\/web/);
  });
});
