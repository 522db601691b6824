import type { Figure } from "../model.ts";
import { grouped, mebibytes } from "../result/format-figure.ts";
import type { BenchResult, Mark, ResultRow } from "../result/result.ts";
import { workloadKey } from "../result/workload-key.ts";
import { type Markup, markup } from "./markup.ts";

interface Tile {
  readonly figure: string;
  readonly meaning: string;
}

/** The shared proxy against the baseline in some words; null where they were not both measured. */
export function summary(result: BenchResult): Markup | null {
  const { results, baseline } = result;
  const shared = results.filter(({ mode, peer }) => mode === "host" && peer === "hostmesh");
  // Across hosts those with mutual TLS, as what they are compared with has it.
  const first = shared.find(({ between }) => between.startsWith("mtls")) ?? shared[0];
  if (baseline === null || first === undefined || first.contestant === baseline) return null;
  const pairs = shared
    .filter(({ contestant }) => contestant === first.contestant)
    .map((row): Pair => ({ row, marks: marksOfBoth(row, results, baseline) }));
  const atRate = pairs.filter(({ row }) => row.rate !== null);
  const atFull = pairs.filter(({ row }) => row.rate === null);
  const tiles = [
    tile("of its CPU time per request", pairs, [], (row) => row.ratioToBaseline?.cpu),
    tile("of its p99 at a given rate", atRate, TAIL, (row) => row.ratioToBaseline?.p99),
    tile("of its throughput", atFull, PACE, (row) => row.ratioToBaseline?.throughput),
    idleTile(result),
  ].filter((one) => one !== null);
  if (tiles.length === 0) return null;
  return markup`<h2 id="summary">${first.contestant} against ${baseline}</h2><ul class="tiles">${tiles.map(({ figure, meaning }) => markup`<li><b>${figure}</b><span>${meaning}</span></li>`)}</ul>`;
}

/** A row of the shared proxy, with the marks that it or the baseline has. */
interface Pair {
  readonly row: ResultRow;
  readonly marks: readonly Mark[];
}

/** With these a quotient says nothing of the two proxies. */
const TAIL: readonly Mark[] = ["rate-missed", "late-load"];
const PACE: readonly Mark[] = ["load-bound"];

function marksOfBoth(row: ResultRow, results: readonly ResultRow[], baseline: string): Mark[] {
  const key = workloadKey(row);
  const base = results.find((one) => one.contestant === baseline && workloadKey(one) === key);
  return [...row.marks, ...(base?.marks ?? [])];
}

/** From the least to the greatest median over all workloads, so that none is picked out. */
function tile(
  meaning: string,
  pairs: readonly Pair[],
  not: readonly Mark[],
  pick: (row: ResultRow) => Figure | null | undefined,
): Tile | null {
  const usable = pairs.filter(({ marks }) => !marks.some((mark) => not.includes(mark)));
  const ratios = usable
    .map(({ row }) => pick(row)?.median)
    .filter((one) => one !== undefined)
    .toSorted((a, b) => a - b);
  const [low] = ratios;
  const high = ratios.at(-1);
  if (low === undefined || high === undefined) return null;
  const [from, to] = [`${low.toFixed(2)}x`, `${high.toFixed(2)}x`];
  const over = ratios.length === 1 ? "one workload" : `${ratios.length} workloads`;
  const isDisturbed = usable.some(({ marks }) => marks.includes("disturbed"));
  const caution = isDisturbed ? "; other programs disturbed some of it" : "";
  return {
    figure: from === to ? from : `${from} to ${to}`,
    meaning: `${meaning}, ${over}${caution}`,
  };
}

/** The daemon's memory for the greatest number of containers that was measured. */
function idleTile({ idle }: BenchResult): Tile | null {
  const daemon = idle
    .filter(({ contestant }) => /daemon/i.test(contestant))
    .toSorted((a, b) => b.containers - a.containers)[0];
  if (daemon === undefined) return null;
  const sidecars = idle
    .filter((one) => one.containers === daemon.containers && one.contestant !== daemon.contestant)
    .map(({ pssBytes }) => pssBytes);
  const others =
    sidecars.length === 0
      ? ""
      : `; sidecars ${mebibytes(Math.min(...sidecars))} to ${mebibytes(Math.max(...sidecars))} MiB`;
  const meaning = `PSS of the daemon with ${grouped(daemon.containers)} idle containers${others}`;
  return { figure: `${mebibytes(daemon.pssBytes)} MiB`, meaning };
}
