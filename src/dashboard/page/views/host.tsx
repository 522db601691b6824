import type { CertificateReport, WorkloadReport } from "../../../sight/host-report.ts";
import type { HostSummary } from "../../../sight/mesh-report.ts";
import { certificateTrouble, limitShare, NEAR_LIMIT } from "../model/alerts.ts";
import {
  formatBytes,
  formatCount,
  formatDate,
  formatPercent,
  formatRate,
  formatSpan,
} from "../model/format.ts";
import { hrefOf } from "../model/route.ts";
import { Bar, FigureTiles, Panel } from "../parts/common.tsx";
import { Facts } from "../parts/facts.tsx";
import { HealthMark } from "../parts/icons.tsx";
import { usePage } from "../parts/state.ts";
import { type Column, Table } from "../parts/table.tsx";
import { HostState } from "./overview.tsx";

/** One host: its daemon, its workers, and which workload uses how much of what it may. */
export function Host({ name }: { readonly name: string }) {
  const { report } = usePage();
  const host = report.hosts.find((one) => one.host === name);
  if (host === undefined) {
    return (
      <>
        <h1>{name}</h1>
        <p class="empty">
          No host has this name. <a href={hrefOf("hosts")}>All hosts</a>
        </p>
      </>
    );
  }
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf("hosts")}>Hosts</a>
      </p>
      <h1>
        {name} <HostState host={host} />
      </h1>
      <FigureTiles figures={host.figures} />
      {host.refusal !== null && (
        <p class="banner banner-bad" role="status">
          It refused revision {host.refusal.revision} and goes on with {host.revision ?? "none"}:{" "}
          {host.refusal.reason}
        </p>
      )}
      <Panel title="Who floods">
        <p class="note">
          Workloads by the part of their fullest quota. Over it, the host refuses for them, so that
          others do not suffer.
        </p>
        <Table
          caption="Workloads by the share of their limits"
          columns={workloadColumns(report.windowMs)}
          rows={host.workloads}
          keyOf={({ workload }) => workload}
          first="Of its limits"
          isFirstDescending
          empty="No workload runs on this host."
        />
      </Panel>
      <div class="columns">
        <Daemon host={host} newest={report.revision} />
        <Panel title="Workers">
          <ul class="workers">
            {host.workers.map(({ id, alive, restarts }) => (
              <li key={id}>
                <HealthMark
                  health={alive ? "good" : "bad"}
                  word={`worker ${id} ${alive ? "runs" : "is down"}`}
                />
                <span class="note">
                  {restarts === 0 ? "never restarted" : `restarted ${restarts} times`}
                </span>
              </li>
            ))}
          </ul>
        </Panel>
      </div>
      <Panel title="Certificates">
        <Table
          caption="Certificates"
          columns={certificateColumns(report.atMs)}
          rows={host.certificates}
          keyOf={({ identity }) => identity}
          first="Ends in"
          empty="This host has no certificates: no identities are in use."
        />
      </Panel>
    </>
  );
}

function Daemon({ host, newest }: { readonly host: HostSummary; readonly newest: number }) {
  const { capture } = host;
  const captured =
    capture === null ? "–" : `${capture.mode}, ${capture.active ? "in force" : "not in force"}`;
  const rows: readonly (readonly [string, string])[] = [
    ["Version", host.version || "–"],
    ["Zone", host.zone || "–"],
    ["Up for", host.uptimeMs === null ? "–" : formatSpan(host.uptimeMs)],
    ["Revision", host.revision === null ? "–" : `${host.revision} of ${newest}`],
    ["Capture", captured],
  ];
  return (
    <Panel title="Daemon">
      <Facts rows={rows} />
    </Panel>
  );
}

function workloadColumns(windowMs: number): Column<WorkloadReport>[] {
  const used = (value: number, limit: number) =>
    limit > 0 ? `${formatCount(value)} of ${formatCount(limit)}` : formatCount(value);
  return [
    {
      title: "Workload",
      cell: ({ workload }) => <a href={hrefOf("services", workload)}>{workload}</a>,
      sort: ({ workload }) => workload,
    },
    {
      title: "Of its limits",
      cell: (workload) => {
        const share = limitShare(workload);
        return (
          <span class="bar-cell">
            <Bar
              part={share}
              mark={NEAR_LIMIT}
              tone={share >= 1 ? "bad" : share >= NEAR_LIMIT ? "warn" : "accent"}
            />
            <span>{formatPercent(share)}</span>
          </span>
        );
      },
      sort: limitShare,
      isNumber: true,
    },
    {
      title: "Requests/s",
      cell: ({ recent }) => formatRate((recent * 1000) / Math.max(1, windowMs)),
      sort: ({ recent }) => recent,
      isNumber: true,
    },
    {
      title: "Connections",
      cell: (row) => used(row.connections, row.connectionLimit),
      sort: ({ connections }) => connections,
      isNumber: true,
      rank: 2,
    },
    {
      title: "In flight",
      cell: (row) => used(row.inFlight, row.inFlightLimit),
      sort: ({ inFlight }) => inFlight,
      isNumber: true,
      rank: 2,
    },
    {
      title: "Buffered",
      cell: ({ bufferedBytes }) => formatBytes(bufferedBytes),
      sort: ({ bufferedBytes }) => bufferedBytes,
      isNumber: true,
      rank: 1,
    },
    {
      title: "Refused",
      cell: ({ refused }) => formatCount(refused),
      sort: ({ refused }) => refused,
      isNumber: true,
      rank: 2,
    },
  ];
}

function certificateColumns(nowMs: number): Column<CertificateReport>[] {
  return [
    {
      title: "Identity",
      cell: ({ identity }) => <code>{identity}</code>,
      sort: ({ identity }) => identity,
    },
    {
      title: "State",
      cell: (certificate) => {
        const trouble = certificateTrouble(certificate, nowMs);
        return <HealthMark health={trouble?.level ?? "good"} word={certificate.state} />;
      },
      sort: ({ state }) => state,
    },
    {
      title: "Ends in",
      cell: ({ notAfterMs }) =>
        notAfterMs === null ? "–" : notAfterMs < nowMs ? "ended" : formatSpan(notAfterMs - nowMs),
      sort: ({ notAfterMs }) => notAfterMs,
      isNumber: true,
    },
    {
      title: "At",
      cell: ({ notAfterMs }) => (notAfterMs === null ? "–" : formatDate(notAfterMs)),
      rank: 2,
    },
  ];
}
