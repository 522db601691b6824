import type { Figures } from "../../sight/mesh-report.ts";

export const SORTS = ["name", "rps", "success", "p99"] as const;
export type SortBy = (typeof SORTS)[number];

/**
 * By name as they came; by `rps` and `p99` the highest first; by `success` the lowest first, because those are looked for.
 * What has no figure comes last.
 */
export function sortFigures<T extends Figures>(items: readonly T[], by: SortBy): readonly T[];
export function sortFigures<T>(
  items: readonly T[],
  by: SortBy,
  figuresOf: (item: T) => Figures,
): readonly T[];
export function sortFigures<T extends Figures>(
  items: readonly T[],
  by: SortBy,
  figuresOf: (item: T) => Figures = (item) => item,
): readonly T[] {
  if (by === "name") return items;
  const ranked = items.map((item) => ({ item, rank: rankOf(figuresOf(item), by) }));
  // Not a difference: of two infinities it is no number.
  return ranked
    .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
    .map(({ item }) => item);
}

function rankOf(figures: Figures, by: SortBy): number {
  if (by === "rps") return -figures.rps;
  if (by === "success") return figures.success ?? Number.POSITIVE_INFINITY;
  return figures.p99Ms === null ? Number.POSITIVE_INFINITY : -figures.p99Ms;
}
