import { useMemo } from "preact/hooks";
import type { ServiceFigures } from "../../../sight/mesh-report.ts";
import { formatMs, formatPercent, formatRate } from "../model/format.ts";
import type { Health } from "../model/health.ts";
import { endpointSeriesOf } from "../model/history.ts";
import { endpointVerdicts, type Verdict } from "../model/slow-endpoint.ts";
import { Chart, type Line } from "../parts/chart.tsx";
import { Bar, HostLink, Panel, SuccessCell } from "../parts/common.tsx";
import { HealthMark } from "../parts/icons.tsx";
import { usePage } from "../parts/state.ts";
import { type Column, Table } from "../parts/table.tsx";

const HEALTHS: Readonly<Record<string, Health>> = {
  passing: "good",
  warning: "warn",
  critical: "bad",
};
/** More lines than these in one chart cannot be told apart. */
const MOST_LINES = 6;
const DASHES = [undefined, [6, 3], [2, 2], [8, 2, 2, 2], [12, 3], [4, 4]] as const;

/** Endpoints with latency against share: the balancer's work, seen. */
export function Endpoints({ service }: { readonly service: ServiceFigures }) {
  const verdicts = endpointVerdicts(service, usePage().report?.windowMs ?? 0);
  const slowest = Math.max(...service.endpoints.map(({ p50Ms }) => p50Ms ?? 0), 0);
  const remarkable = verdicts.filter(({ words }) => words !== "");
  return (
    <Panel title="Endpoints">
      {remarkable.length > 0 && (
        <ul class="verdicts">
          {remarkable.map(({ endpoint, words }) => (
            <li key={endpoint.id}>
              <HealthMark health="warn" word={endpoint.id} /> {words}.
            </li>
          ))}
        </ul>
      )}
      <Table
        caption="Endpoints"
        columns={columnsOf(slowest)}
        rows={verdicts}
        keyOf={({ endpoint }) => endpoint.id}
        empty="It has no endpoints: its requests fail, unless a route sends them elsewhere."
      />
      {service.endpoints.length > 1 && (
        <p class="note">
          Latency is the median of its answers. Cost is the balancer's estimate, in which a failure
          counts as a slow answer. The line in a bar of share is what the endpoint would get were
          all as fast.
        </p>
      )}
      {service.endpoints.length > 0 && <EndpointCharts service={service} verdicts={verdicts} />}
    </Panel>
  );
}

function columnsOf(slowest: number): Column<Verdict>[] {
  return [
    {
      title: "Endpoint",
      cell: ({ endpoint }) => (
        <span class="stacked">
          <span>{endpoint.id}</span>
          <span class="note">
            {endpoint.address}:{endpoint.port}
          </span>
        </span>
      ),
      sort: ({ endpoint }) => endpoint.id,
    },
    { title: "State", cell: (verdict) => <State verdict={verdict} />, sort: ({ words }) => words },
    {
      title: "Latency",
      cell: ({ endpoint, isSlow }) => (
        <span class="bar-cell">
          <Bar part={(endpoint.p50Ms ?? 0) / (slowest || 1)} tone={isSlow ? "bad" : "accent"} />
          <span>{formatMs(endpoint.p50Ms)}</span>
        </span>
      ),
      sort: ({ endpoint }) => endpoint.p50Ms,
      isNumber: true,
    },
    {
      title: "Share",
      cell: ({ endpoint, fairShare, hasLostTraffic }) => (
        <span class="bar-cell">
          <Bar
            part={endpoint.share ?? 0}
            mark={fairShare}
            tone={hasLostTraffic ? "warn" : "accent"}
          />
          <span>{formatPercent(endpoint.share)}</span>
        </span>
      ),
      sort: ({ endpoint }) => endpoint.share,
      isNumber: true,
    },
    {
      title: "Cost",
      cell: ({ endpoint }) => formatMs(endpoint.latencyEwmaMs),
      sort: ({ endpoint }) => endpoint.latencyEwmaMs,
      isNumber: true,
      rank: 2,
    },
    {
      title: "Queue",
      cell: ({ endpoint }) => endpoint.inFlight,
      sort: ({ endpoint }) => endpoint.inFlight,
      isNumber: true,
      rank: 2,
    },
    {
      title: "Requests/s",
      cell: ({ endpoint }) => formatRate(endpoint.rps),
      sort: ({ endpoint }) => endpoint.rps,
      isNumber: true,
      rank: 2,
    },
    {
      title: "Success",
      cell: ({ endpoint }) => <SuccessCell success={endpoint.success} />,
      sort: ({ endpoint }) => endpoint.success,
      isNumber: true,
      rank: 2,
    },
    {
      title: "p99",
      cell: ({ endpoint }) => formatMs(endpoint.p99Ms),
      sort: ({ endpoint }) => endpoint.p99Ms,
      isNumber: true,
      rank: 1,
    },
    {
      title: "Weight",
      cell: ({ endpoint }) => endpoint.weight,
      sort: ({ endpoint }) => endpoint.weight,
      isNumber: true,
      rank: 1,
    },
    {
      title: "Host",
      cell: ({ endpoint }) => <HostLink host={endpoint.host} />,
      sort: ({ endpoint }) => endpoint.host,
      rank: 1,
    },
  ];
}

function State({ verdict }: { readonly verdict: Verdict }) {
  const { endpoint, isEjected, isFailing, word } = verdict;
  if (isEjected) return <HealthMark health="bad" word="ejected" />;
  if (endpoint.health === "critical") return <HealthMark health="bad" word="unhealthy" />;
  if (word !== "") return <HealthMark health={isFailing ? "bad" : "warn"} word={word} />;
  return <HealthMark health={HEALTHS[endpoint.health] ?? "none"} word={endpoint.health} />;
}

function EndpointCharts(props: {
  readonly service: ServiceFigures;
  readonly verdicts: readonly Verdict[];
}) {
  const { report, history } = usePage();
  const times = useMemo(() => history.times(), [report]);
  // Those that something is the matter with must be among the drawn; the order of names keeps colours still.
  const drawn = [...props.verdicts]
    .sort((a, b) => Number(b.words !== "") - Number(a.words !== ""))
    .slice(0, MOST_LINES)
    .map(({ endpoint }) => endpoint.id)
    .sort();
  const lines = (figure: "p50Ms" | "share"): Line[] =>
    drawn.map((id, at) => {
      const dash = DASHES[at % DASHES.length];
      const values = history.values(endpointSeriesOf(props.service.service, id), figure);
      const color = `series-${(at % 6) + 1}`;
      return { label: id, values, color, ...(dash === undefined ? {} : { dash }) };
    });
  return (
    <div class="charts charts-2">
      <Chart title="Latency by endpoint" times={times} lines={lines("p50Ms")} format={formatMs} />
      <Chart
        title="Share by endpoint"
        times={times}
        lines={lines("share")}
        format={formatPercent}
        range={[0, 1]}
      />
    </div>
  );
}
