import type { MeshReport } from "../../../sight/mesh-report.ts";
import { formatTime } from "../model/format.ts";
import { NameLink } from "../parts/common.tsx";
import { type Column, Table } from "../parts/table.tsx";

type Failure = MeshReport["recentErrors"][number];

const COLUMNS: readonly Column<Failure>[] = [
  { title: "At", cell: ({ atMs }) => formatTime(atMs), sort: ({ atMs }) => atMs },
  {
    title: "Request",
    cell: ({ method, path }) => (
      <code>
        {method} {path}
      </code>
    ),
    sort: ({ path }) => path,
  },
  {
    title: "Status",
    cell: ({ status }) => (status === 0 ? "–" : status),
    sort: ({ status }) => status,
    isNumber: true,
  },
  {
    title: "Cause",
    cell: ({ error }) => (error === null ? "the endpoint answered so" : <code>{error}</code>),
    sort: ({ error }) => error,
  },
  {
    title: "Caller",
    cell: ({ source }) => <NameLink name={source} />,
    sort: ({ source }) => source,
    rank: 2,
  },
  {
    title: "Endpoint",
    cell: ({ endpoint }) => endpoint ?? "–",
    sort: ({ endpoint }) => endpoint,
    rank: 2,
  },
  { title: "Host", cell: ({ host }) => host, sort: ({ host }) => host, rank: 1 },
  { title: "Trace", cell: ({ traceId }) => <code class="quiet">{traceId || "–"}</code>, rank: 1 },
];

/** The newest failures. */
export function ErrorTable({ errors }: { readonly errors: readonly Failure[] }) {
  return (
    <Table
      caption="Recent errors"
      columns={COLUMNS}
      rows={errors}
      keyOf={({ traceId, atMs, path, source }) => `${traceId} ${atMs} ${path} ${source}`}
      empty="None is known."
      pageSize={10}
    />
  );
}
