import { useMemo } from "preact/hooks";
import type { EdgeFigures, RouteFigures, ServiceFigures } from "../../../sight/mesh-report.ts";
import { formatCount, formatMs, formatRate } from "../model/format.ts";
import { seriesOf } from "../model/history.ts";
import { hrefOf } from "../model/route.ts";
import { servicesOfWorkloads } from "../model/workloads.ts";
import { useLoaded } from "../net/page-data.ts";
import type { ResourceName } from "../net/types.ts";
import { Chart } from "../parts/chart.tsx";
import {
  EDGE_FIGURE_COLUMNS,
  FigureTiles,
  figureColumns,
  NameLink,
  Panel,
} from "../parts/common.tsx";
import { usePage } from "../parts/state.ts";
import { type Column, Table } from "../parts/table.tsx";
import { Endpoints } from "./endpoints.tsx";
import { ErrorTable } from "./errors.tsx";
import { successRange } from "./overview.tsx";
import { TrafficSplit } from "./split.tsx";

/** One service, or a caller that is none: what it gets, what it calls, and what says so. */
export function Service({ name }: { readonly name: string }) {
  const { report } = usePage();
  const service = report.services.find((one) => one.service === name);
  const source = report.sources.find((one) => one.source === name);
  const callers = report.edges.filter(({ destination }) => destination === name);
  const serviceOf = useMemo(() => servicesOfWorkloads(report), [report]);
  const callees = report.edges.filter(
    ({ source: from }) => from === name || serviceOf.get(from) === name,
  );
  const served = serviceOf.get(name);
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf("services")}>Services</a>
      </p>
      <h1>{name}</h1>
      <p class="links">
        <a href={hrefOf("graph", "", { focus: name })}>Show in the graph</a>
        <a
          href={hrefOf("tap", "", service === undefined ? { source: name } : { destination: name })}
        >
          Tap its requests
        </a>
      </p>
      {service === undefined && source === undefined && (
        <p class="empty">The mesh has seen nothing of this name.</p>
      )}
      {service === undefined && source !== undefined && (
        <>
          <p class="note">
            {served === undefined ? (
              "A caller that is no service; the figures are of what it calls."
            ) : (
              <>
                A workload of <NameLink name={served} />; the figures are of what it calls.
              </>
            )}
          </p>
          <FigureTiles figures={source} />
        </>
      )}
      {service !== undefined && <Served service={service} />}
      {service !== undefined && <Edges title="Called by" edges={callers} end="source" />}
      {callees.length > 0 && <Edges title="Calls" edges={callees} end="destination" />}
      {service !== undefined && <Governance service={service} />}
      <Errors name={name} />
    </>
  );
}

function Served({ service }: { readonly service: ServiceFigures }) {
  return (
    <>
      <FigureTiles figures={service} />
      <Endpoints service={service} />
      <ServiceCharts name={service.service} />
    </>
  );
}

function ServiceCharts({ name }: { readonly name: string }) {
  const { report, history } = usePage();
  const times = useMemo(() => history.times(), [report]);
  const series = seriesOf(name);
  const success = history.values(series, "success");
  return (
    <div class="charts">
      <Chart
        title="Requests a second"
        times={times}
        lines={[{ label: "requests", values: history.values(series, "rps"), color: "series-1" }]}
        format={formatRate}
      />
      <Chart
        title="Failures"
        times={times}
        lines={[
          {
            label: "failed",
            values: success.map((value) => (value === null ? null : 100 * (1 - value))),
            color: "series-4",
          },
        ]}
        format={(value) => `${value.toFixed(value < 10 ? 1 : 0)} %`}
        range={[0, Math.max(1, 110 * (1 - successRange(success)[0]))]}
      />
      <Chart
        title="Latency"
        times={times}
        lines={[
          { label: "p50", values: history.values(series, "p50Ms"), color: "series-1" },
          {
            label: "p95",
            values: history.values(series, "p95Ms"),
            color: "series-3",
            dash: [6, 3],
          },
          {
            label: "p99",
            values: history.values(series, "p99Ms"),
            color: "series-4",
            dash: [2, 2],
          },
        ]}
        format={formatMs}
      />
    </div>
  );
}

function Edges(props: {
  readonly title: string;
  readonly edges: readonly EdgeFigures[];
  readonly end: "source" | "destination";
}) {
  const { title, edges, end } = props;
  const columns: Column<EdgeFigures>[] = [
    {
      title: end === "source" ? "Caller" : "Service",
      cell: (edge) => <NameLink name={edge[end]} />,
      sort: (edge) => edge[end],
    },
    ...EDGE_FIGURE_COLUMNS,
  ];
  return (
    <Panel title={title}>
      <Table
        caption={title}
        columns={columns}
        rows={edges}
        keyOf={(edge) => `${edge.source} ${edge.destination} ${edge.protocol}`}
        first="Requests/s"
        isFirstDescending
        empty="Nobody has called it since the data path started."
        pageSize={15}
      />
    </Panel>
  );
}

/** What decides where its requests go: routes, the split, the resources that apply. */
function Governance({ service }: { readonly service: ServiceFigures }) {
  const { report } = usePage();
  const routes = report.routes.filter(({ destination }) => destination === service.service);
  const columns: Column<RouteFigures>[] = [
    { title: "Route", cell: ({ route }) => route, sort: ({ route }) => route },
    {
      title: "Caller",
      cell: ({ source }) => <NameLink name={source} />,
      sort: ({ source }) => source,
      rank: 2,
    },
    ...figureColumns<RouteFigures>(),
    {
      title: "Since start",
      cell: ({ requests }) => formatCount(requests),
      sort: ({ requests }) => requests,
      isNumber: true,
      rank: 1,
    },
  ];
  return (
    <>
      <Panel title="Routes">
        <Table
          caption="Routes"
          columns={columns}
          rows={routes}
          keyOf={({ source, route }) => `${source} ${route}`}
          first="Requests/s"
          isFirstDescending
          empty="No request has come by a route yet."
          pageSize={15}
        />
      </Panel>
      {/* `passthrough` and `none` are no services of the registry. */}
      {service.service.includes("/") && (
        <div class="columns">
          <TrafficSplit service={service.service} />
          <AppliedResources service={service.service} />
        </div>
      )}
    </>
  );
}

function AppliedResources({ service }: { readonly service: string }) {
  const { api, revision } = usePage();
  const [applied] = useLoaded(service, revision, () => api.applied(service));
  return (
    <Panel title="Applied resources">
      {applied.is === "loading" && <p class="empty">Loading …</p>}
      {applied.is === "failed" && <p class="empty">They could not be loaded: {applied.reason}.</p>}
      {applied.is === "there" && (
        <>
          <Resources
            title="Traffic"
            resources={applied.value.resources}
            none="No resource routes its traffic: all endpoints get it."
          />
          <Resources
            title="Policies"
            resources={applied.value.policies.filter(isNamed)}
            none="No policy applies to it."
          />
        </>
      )}
    </Panel>
  );
}

const isNamed = (one: Partial<ResourceName>): one is ResourceName => one.kind !== undefined;

function Resources(props: {
  readonly title: string;
  readonly resources: readonly ResourceName[];
  readonly none: string;
}) {
  const { title, resources, none } = props;
  const hrefTo = ({ kind, namespace, name }: ResourceName) =>
    hrefOf("config", `${kind}/${namespace}/${name}`);
  return (
    <>
      <h3>{title}</h3>
      {resources.length === 0 && <p class="note">{none}</p>}
      <ul class="plain">
        {resources.map((resource) => (
          <li key={hrefTo(resource)}>
            <a href={hrefTo(resource)}>
              <span class="namespace">{resource.kind}</span> {resource.namespace}/{resource.name}
            </a>
          </li>
        ))}
      </ul>
    </>
  );
}

function Errors({ name }: { readonly name: string }) {
  const { report } = usePage();
  const errors = report.recentErrors.filter(
    ({ destination, source }) => destination === name || source === name,
  );
  return (
    <Panel title="Recent errors">
      <ErrorTable errors={errors} />
    </Panel>
  );
}
