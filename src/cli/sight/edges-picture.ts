import { formatRate, formatShare } from "../../core/format-figures.ts";
import type { Cell } from "../../core/text-table.ts";
import type { EdgeFigures, MeshReport } from "../../sight/mesh-report.ts";
import type { TableData } from "../print-data.ts";
import {
  BYTES_COLUMN,
  bytesCell,
  successCell,
  TOTAL_COLUMNS,
  totalCells,
} from "./figure-columns.ts";
import { findName, isWithin, shortName } from "./names.ts";
import { reportNotes } from "./report-notes.ts";
import { securityText } from "./security-texts.ts";
import type { Picture } from "./show.ts";
import { type SortBy, sortFigures } from "./sort-figures.ts";

/** Which edges are wanted; names as the user wrote them. */
export interface EdgesQuery {
  readonly from?: string;
  readonly to?: string;
  readonly namespace?: string;
  readonly notSecured: boolean;
  readonly sort: SortBy;
  readonly wide: boolean;
}

/** One way in which an edge's traffic went, and what that means. */
interface Kind {
  readonly security: string;
  readonly requests: number;
  /** Of the edge's requests, 0 to 1. */
  readonly share: number;
  readonly secured: boolean;
  readonly text: string;
  readonly remedy: string | null;
}

/** Who talks to whom, and how secured. Throws a CliError for names that the mesh does not know. */
export function edgesPicture(report: MeshReport, query: EdgesQuery): Picture {
  const wanted = edgesOf(report, query).filter(({ secured }) => !query.notSecured || !secured);
  const edges = sortFigures(wanted, query.sort).map((edge) => ({ ...edge, kinds: kindsOf(edge) }));
  const { atMs, windowMs } = report;
  return {
    data: { atMs, windowMs, edges },
    table: edgesTable(edges, query),
    notes: [...remedies(edges), ...reportNotes(report)],
  };
}

/** Both ends may be meant by the namespace: an edge that crosses its border is of interest too. */
function edgesOf(report: MeshReport, query: EdgesQuery): readonly EdgeFigures[] {
  const { namespace } = query;
  const from = nameOf(report, "source", query.from, namespace);
  const to = nameOf(report, "destination", query.to, namespace);
  return report.edges.filter(
    ({ source, destination }) =>
      (from === undefined || source === from) &&
      (to === undefined || destination === to) &&
      (isWithin(source, namespace) || isWithin(destination, namespace)),
  );
}

function nameOf(
  { edges }: MeshReport,
  end: "source" | "destination",
  wanted: string | undefined,
  namespace: string | undefined,
): string | undefined {
  if (wanted === undefined) return undefined;
  const names = [...new Set(edges.map((edge) => edge[end]))].sort();
  return findName(names, wanted, {
    kind: `${end} with traffic`,
    remedy: "nobody has called anything yet",
    namespace,
  });
}

/** The most frequent first. */
function kindsOf({ securities }: EdgeFigures): Kind[] {
  const all = Object.entries(securities).sort(([, a], [, b]) => b - a);
  const total = all.reduce((sum, [, requests]) => sum + requests, 0);
  return all.map(([security, requests]) => ({
    security,
    requests,
    share: total > 0 ? requests / total : 0,
    ...securityText(security),
  }));
}

type Edge = EdgeFigures & { readonly kinds: readonly Kind[] };

function edgesTable(edges: readonly Edge[], { notSecured, wide }: EdgesQuery): TableData {
  return {
    columns: [
      { title: "SOURCE", minWidth: 8 },
      { title: "DESTINATION", minWidth: 11 },
      { title: "PROTOCOL", optional: true },
      { title: "SECURED" },
      { title: "RPS", align: "right" },
      { title: "SUCCESS", align: "right" },
      ...(wide ? [BYTES_COLUMN, ...TOTAL_COLUMNS] : []),
      { title: "WHY NOT", minWidth: 12 },
    ],
    rows: edges.map((edge) => [
      shortName(edge.source),
      shortName(edge.destination),
      edge.protocol,
      securedCell(edge),
      formatRate(edge.rps),
      successCell(edge.success),
      ...(wide ? [bytesCell(edge), ...totalCells(edge)] : []),
      whyNot(edge),
    ]),
    empty: notSecured
      ? "Everything that was seen is secured."
      : "Nobody has called anything yet. Call a service, or see that callers are captured: hostmesh check",
  };
}

function securedCell({ secured, kinds }: Edge): Cell {
  const ways = kinds.filter((kind) => kind.secured).map(({ text }) => text);
  if (secured) return { text: ways.join(", ") || "yes", style: "good" };
  return ways.length > 0 ? { text: "partly", style: "warn" } : { text: "no", style: "bad" };
}

/** With its share, where it is not all of the traffic. */
function whyNot({ kinds }: Edge): string {
  return kinds
    .filter(({ secured }) => !secured)
    .map(({ share, text }) => (share === 1 ? text : `${formatShare(share)}: ${text}`))
    .join("; ");
}

/** One line for each reason that occurs. */
function remedies(edges: readonly Edge[]): string[] {
  const found = new Map<string, string>();
  for (const { text, remedy } of edges.flatMap(({ kinds }) => kinds)) {
    if (remedy !== null) found.set(text, remedy);
  }
  return [...found].map(([text, remedy]) => `${text}: ${remedy}.`);
}
