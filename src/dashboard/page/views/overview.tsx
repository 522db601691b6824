import { useMemo } from "preact/hooks";
import type { HostSummary, ServiceFigures } from "../../../sight/mesh-report.ts";
import type { Alert } from "../model/alerts.ts";
import { formatMs, formatPercent, formatRate, formatSpan, plural } from "../model/format.ts";
import { MESH, seriesOf } from "../model/history.ts";
import { hrefOf } from "../model/route.ts";
import { Chart } from "../parts/chart.tsx";
import { FigureTiles, figureColumns, HostLink, NameLink, Panel } from "../parts/common.tsx";
import { HealthMark, Icon } from "../parts/icons.tsx";
import { Spark } from "../parts/spark.tsx";
import { usePage } from "../parts/state.ts";
import { type Column, Table } from "../parts/table.tsx";

const MOST_ALERTS = 8;
const MOST_SERVICES = 8;

/** What a reader sees first: how the mesh does, and what to look at. */
export function Overview() {
  const { report, alerts } = usePage();
  return (
    <>
      <h1 class="unseen">Overview</h1>
      <FigureTiles figures={report.total} />
      <Alerts alerts={alerts} />
      <MeshCharts />
      <WorstServices />
      <Panel title="Hosts" aside={<a href={hrefOf("hosts")}>All hosts</a>}>
        <Table
          caption="Hosts"
          columns={hostColumns(report.revision)}
          rows={report.hosts}
          keyOf={({ host }) => host}
          empty="No host has joined yet."
          pageSize={10}
        />
      </Panel>
    </>
  );
}

function Alerts({ alerts }: { readonly alerts: readonly Alert[] }) {
  const title = alerts.length === 0 ? "Needs attention" : `Needs attention (${alerts.length})`;
  const list = (some: readonly Alert[]) => (
    <ul class="alerts">
      {some.map((alert) => (
        <li key={`${alert.title} ${alert.href}`} class={`alert alert-${alert.level}`}>
          <Icon name={alert.level} />
          <span>
            <span class="unseen">{alert.level === "bad" ? "Problem: " : "Warning: "}</span>
            <a href={alert.href}>{alert.title}</a>
            <span class="detail">{alert.detail}</span>
          </span>
        </li>
      ))}
    </ul>
  );
  return (
    <Panel title={title}>
      {alerts.length === 0 && (
        <p class="empty">
          <HealthMark health="good" word="Nothing is wrong that the mesh can see." />
        </p>
      )}
      {list(alerts.slice(0, MOST_ALERTS))}
      {alerts.length > MOST_ALERTS && (
        <details>
          <summary>{alerts.length - MOST_ALERTS} more</summary>
          {list(alerts.slice(MOST_ALERTS))}
        </details>
      )}
    </Panel>
  );
}

function MeshCharts() {
  const { report, history } = usePage();
  const times = useMemo(() => history.times(), [report]);
  const of = (figure: Parameters<typeof history.values>[1]) => history.values(MESH, figure);
  return (
    <div class="charts">
      <Chart
        title="Requests a second"
        times={times}
        lines={[{ label: "requests", values: of("rps"), color: "series-1" }]}
        format={formatRate}
      />
      <Chart
        title="Success"
        times={times}
        lines={[{ label: "success", values: of("success"), color: "series-2" }]}
        format={formatPercent}
        range={successRange(of("success"))}
      />
      <Chart
        title="Latency"
        times={times}
        lines={[
          { label: "p50", values: of("p50Ms"), color: "series-1" },
          { label: "p95", values: of("p95Ms"), color: "series-3", dash: [6, 3] },
          { label: "p99", values: of("p99Ms"), color: "series-4", dash: [2, 2] },
        ]}
        format={formatMs}
      />
    </div>
  );
}

/** From zero a fall from 99.9 to 99 % could not be seen. */
export function successRange(values: readonly (number | null)[]): readonly [number, number] {
  const low = Math.min(...values.flatMap((value) => value ?? []), 0.99);
  return [Math.max(0, low - (1 - low) * 0.2), 1];
}

function WorstServices() {
  const { report } = usePage();
  const worst = useMemo(() => {
    const called = report.services.filter(({ rps }) => rps > 0);
    const byWorst = (a: ServiceFigures, b: ServiceFigures) =>
      (a.success ?? 1) - (b.success ?? 1) || (b.p99Ms ?? 0) - (a.p99Ms ?? 0);
    return called.sort(byWorst).slice(0, MOST_SERVICES);
  }, [report]);
  const all = <a href={hrefOf("services")}>All {plural(report.services.length, "service")}</a>;
  return (
    <Panel title="Services that do worst" aside={all}>
      <ServiceTable
        services={worst}
        caption="Services that do worst"
        empty="Nothing is called at present."
      />
    </Panel>
  );
}

/** Services with their figures and how they changed. */
export function ServiceTable(props: {
  readonly services: readonly ServiceFigures[];
  readonly caption: string;
  readonly empty: string;
  readonly first?: string;
}) {
  const { history } = usePage();
  const columns: Column<ServiceFigures>[] = [
    {
      title: "Service",
      cell: ({ service }) => <NameLink name={service} />,
      sort: ({ service }) => service,
    },
    ...figureColumns<ServiceFigures>(),
    {
      title: "Requests lately",
      cell: ({ service }) => (
        <Spark
          values={history.values(seriesOf(service), "rps")}
          label={`Requests of ${service} lately`}
        />
      ),
      rank: 1,
    },
    {
      title: "Endpoints",
      cell: ({ endpoints }) => endpoints.length,
      sort: ({ endpoints }) => endpoints.length,
      isNumber: true,
      rank: 2,
    },
  ];
  return (
    <Table
      caption={props.caption}
      columns={columns}
      rows={props.services}
      keyOf={({ service }) => service}
      empty={props.empty}
      {...(props.first === undefined ? {} : { first: props.first })}
    />
  );
}

const STATE_HEALTH = { reporting: "good", silent: "warn", old: "warn", gone: "bad" } as const;

export function HostState({ host }: { readonly host: HostSummary }) {
  return <HealthMark health={STATE_HEALTH[host.state]} word={host.state} />;
}

/** Columns of tables of hosts. */
export function hostColumns(revision: number): Column<HostSummary>[] {
  return [
    { title: "Host", cell: ({ host }) => <HostLink host={host} />, sort: ({ host }) => host },
    { title: "State", cell: (host) => <HostState host={host} />, sort: ({ state }) => state },
    {
      title: "Revision",
      cell: (host) => <Revision host={host} newest={revision} />,
      sort: (host) => host.revision,
      isNumber: true,
      rank: 2,
    },
    {
      title: "Requests/s",
      cell: ({ figures }) => formatRate(figures.rps),
      sort: ({ figures }) => figures.rps,
      isNumber: true,
    },
    {
      title: "Success",
      cell: ({ figures }) => formatPercent(figures.success),
      sort: ({ figures }) => figures.success,
      isNumber: true,
      rank: 2,
    },
    {
      title: "p99",
      cell: ({ figures }) => formatMs(figures.p99Ms),
      sort: ({ figures }) => figures.p99Ms,
      isNumber: true,
      rank: 1,
    },
    {
      title: "Workloads",
      cell: ({ workloads }) => workloads.length,
      sort: ({ workloads }) => workloads.length,
      isNumber: true,
      rank: 2,
    },
    { title: "Zone", cell: ({ zone }) => zone || "–", sort: ({ zone }) => zone, rank: 1 },
    {
      title: "Up for",
      cell: ({ uptimeMs }) => (uptimeMs === null ? "–" : formatSpan(uptimeMs)),
      sort: ({ uptimeMs }) => uptimeMs,
      isNumber: true,
      rank: 1,
    },
  ];
}

function Revision({ host, newest }: { readonly host: HostSummary; readonly newest: number }) {
  if (host.refusal !== null)
    return <HealthMark health="bad" word={`refused ${host.refusal.revision}`} />;
  if (host.revision === null) return <span>–</span>;
  return <span>{host.revision === newest ? newest : `${host.revision} of ${newest}`}</span>;
}
