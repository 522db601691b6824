import { formatAge } from "../../core/format-figures.ts";
import type { Cell } from "../../core/text-table.ts";
import type { HostSummary, MeshReport } from "../../sight/mesh-report.ts";
import type { TableData } from "../print-data.ts";
import type { Picture } from "./show.ts";
import type { WatchingDaemon } from "./watching-daemons.ts";

/** One daemon, as JSON shows it too. Times in ms. */
interface ProxyStatus {
  readonly host: string;
  readonly zone: string;
  readonly version: string;
  readonly state: HostSummary["state"];
  /** That it acknowledged; null: nobody knows. */
  readonly revision: number | null;
  /** Revisions between its own and the registry's newest. */
  readonly behind: number | null;
  readonly refusal: HostSummary["refusal"];
  readonly capture: HostSummary["capture"];
  readonly workers: { readonly alive: number; readonly all: number; readonly restarts: number };
  /** Of its certificates the one that ends first, since 1970; null: it has none. */
  readonly firstExpiryMs: number | null;
  /** Certificates that are not valid. */
  readonly badCertificates: number;
  readonly uptimeMs: number | null;
  /** For so long it has been connected to its registry; null: it is not, or to a registry that was not asked. */
  readonly connectedMs: number | null;
}

const DAY_MS = 86_400_000;
/** Certificates live for a day (`identity.leafLifetimeMs`) and are renewed at half of it; so much is left only where that failed. */
const SOON_MS = DAY_MS / 8;

/** One line for each daemon; `watching` is what registries say of those that watch them. */
export function proxyStatusPicture(
  report: MeshReport,
  watching: ReadonlyMap<string, WatchingDaemon>,
  wide: boolean,
): Picture {
  const daemons = report.hosts.map((host) => statusOf(host, report.revision, watching));
  const { atMs, revision } = report;
  return {
    data: { atMs, revision, daemons },
    table: table(daemons, atMs, wide),
    notes: [`The registry is at revision ${revision}.`, ...troubles(daemons)],
  };
}

function statusOf(
  summary: HostSummary,
  newest: number,
  watching: ReadonlyMap<string, WatchingDaemon>,
): ProxyStatus {
  const { host, zone, version, state, revision, refusal, capture, workers, uptimeMs } = summary;
  const expiries = summary.certificates.flatMap(({ notAfterMs }) => notAfterMs ?? []);
  return {
    ...{ host, zone, version, state, revision },
    behind: revision === null ? null : Math.max(0, newest - revision),
    ...{ refusal, capture },
    workers: {
      alive: workers.filter(({ alive }) => alive).length,
      all: workers.length,
      restarts: workers.reduce((sum, { restarts }) => sum + restarts, 0),
    },
    firstExpiryMs: expiries.length === 0 ? null : Math.min(...expiries),
    badCertificates: summary.certificates.filter(({ state: is }) => is !== "valid").length,
    uptimeMs,
    connectedMs: watching.get(host)?.connectedMs ?? null,
  };
}

function table(daemons: readonly ProxyStatus[], atMs: number, wide: boolean): TableData {
  return {
    columns: [
      { title: "HOST", minWidth: 8 },
      { title: "VERSION", minWidth: 7 },
      { title: "STATE" },
      { title: "REVISION", align: "right" },
      { title: "CAPTURE" },
      { title: "WORKERS", align: "right" },
      { title: "CERTIFICATE", minWidth: 8 },
      { title: "CONNECTED", align: "right" },
      ...(wide
        ? [
            { title: "UPTIME", align: "right" as const, optional: true as const },
            { title: "RESTARTS", align: "right" as const, optional: true as const },
            { title: "ZONE", optional: true as const },
            { title: "REFUSED", minWidth: 10 },
          ]
        : []),
    ],
    rows: daemons.map((daemon) => [
      daemon.host,
      daemon.version || "-",
      { text: daemon.state, style: daemon.state === "reporting" ? "good" : "bad" },
      revisionCell(daemon),
      captureCell(daemon),
      workersCell(daemon),
      certificateCell(daemon, atMs),
      formatAge(daemon.connectedMs),
      ...(wide ? wideCells(daemon) : []),
    ]),
    empty: "No daemon has ever connected. Start one: hostmesh daemon --registry URL",
  };
}

function wideCells(daemon: ProxyStatus): Cell[] {
  const { refusal } = daemon;
  return [
    formatAge(daemon.uptimeMs),
    String(daemon.workers.restarts),
    daemon.zone || "-",
    refusal === null ? "-" : `${refusal.revision}: ${refusal.reason}`,
  ];
}

function revisionCell({ revision, behind, refusal }: ProxyStatus): Cell {
  if (revision === null) return "-";
  if (behind === 0 || behind === null) return String(revision);
  return { text: `${revision} (-${behind})`, style: refusal === null ? "warn" : "bad" };
}

function captureCell({ capture }: ProxyStatus): Cell {
  if (capture === null) return "-";
  if (capture.mode === "explicit") return "explicit";
  return capture.active ? capture.mode : { text: `${capture.mode}: off`, style: "bad" };
}

function workersCell({ workers: { alive, all } }: ProxyStatus): Cell {
  if (all === 0) return "-";
  return { text: `${alive}/${all}`, style: alive === all ? "good" : "bad" };
}

function certificateCell({ firstExpiryMs, badCertificates }: ProxyStatus, atMs: number): Cell {
  if (firstExpiryMs === null) {
    return badCertificates > 0 ? { text: "missing", style: "bad" } : "none";
  }
  const left = firstExpiryMs - atMs;
  if (left <= 0) return { text: `expired ${formatAge(-left)}`, style: "bad" };
  const text = formatAge(left);
  if (badCertificates > 0) return { text: `${text}, ${badCertificates} bad`, style: "bad" };
  return { text, style: left < SOON_MS ? "warn" : "good" };
}

/** A line for each thing that somebody should do something about. */
function troubles(daemons: readonly ProxyStatus[]): string[] {
  return daemons.flatMap((daemon) => [
    ...stateTrouble(daemon),
    ...revisionTrouble(daemon),
    ...hostTroubles(daemon),
  ]);
}

function stateTrouble({ host, state, version }: ProxyStatus): string[] {
  switch (state) {
    case "reporting":
      return [];
    case "gone":
      return [`${host}: no daemon is connected; start it there: hostmesh daemon.`];
    case "silent":
      return [`${host}: connected, but does not answer in time; look at its load and its log.`];
    case "old":
      return [`${host}: version ${version} cannot report; upgrade it.`];
  }
}

function revisionTrouble({ host, refusal, behind }: ProxyStatus): string[] {
  if (refusal !== null) {
    const { revision, reason } = refusal;
    return [
      `${host} refused revision ${revision}: ${reason}. Correct what it names; until then the revision before holds.`,
    ];
  }
  if (behind === null || behind === 0) return [];
  return [`${host} is ${behind} behind; if it stays so, look at the daemon's log.`];
}

function hostTroubles({ host, capture, workers, badCertificates }: ProxyStatus): string[] {
  const lines: string[] = [];
  if (workers.alive < workers.all) {
    lines.push(
      `${host}: only ${workers.alive} of ${workers.all} workers are alive; its log says why.`,
    );
  }
  if (capture !== null && capture.mode !== "explicit" && !capture.active) {
    lines.push(`${host} captures nothing; see why there: hostmesh check.`);
  }
  if (badCertificates > 0) {
    const what = badCertificates === 1 ? "1 certificate is" : `${badCertificates} certificates are`;
    lines.push(`${host}: ${what} not valid; see why there: hostmesh check.`);
  }
  return lines;
}
