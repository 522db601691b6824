/** Lines of context around a change. */
const CONTEXT = 3;
/** Changed lines beyond which the texts are shown as wholly different: the search costs their square. */
const MAX_CHANGES = 1_000;

type Step = { readonly mark: " " | "-" | "+"; readonly line: string };

/** On each diagonal (x - y), how far in the first text a path has got. */
type Points = ReadonlyMap<number, number>;

/** The hunks that lead from one text to another, in the unified format; empty where they are the same. */
export function unifiedDiff(before: string, after: string): string[] {
  if (before === after) return [];
  return hunksOf(stepsBetween(linesOf(before), linesOf(after)));
}

function linesOf(text: string): string[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/** Myers, An O(ND) Difference Algorithm (1986), the greedy form of its section 2. */
function stepsBetween(before: readonly string[], after: readonly string[]): Step[] {
  const trace: Map<number, number>[] = [];
  const furthest = new Map([[1, 0]]);
  for (let changes = 0; changes <= Math.min(before.length + after.length, MAX_CHANGES); changes++) {
    trace.push(new Map(furthest));
    for (let diagonal = -changes; diagonal <= changes; diagonal += 2) {
      let x = startOn(furthest, diagonal, changes);
      while (
        x < before.length &&
        x - diagonal < after.length &&
        before[x] === after[x - diagonal]
      ) {
        x++;
      }
      furthest.set(diagonal, x);
      if (x >= before.length && x - diagonal >= after.length) return walk(trace, before, after);
    }
  }
  return [
    ...before.map((line): Step => ({ mark: "-", line })),
    ...after.map((line): Step => ({ mark: "+", line })),
  ];
}

/** Where a path with one more change begins on this diagonal: below the one beside it that got further. */
function startOn(furthest: Points, diagonal: number, changes: number): number {
  return goesDown(furthest, diagonal, changes)
    ? pointOn(furthest, diagonal + 1)
    : pointOn(furthest, diagonal - 1) + 1;
}

/** Was the last change an added line, and not a removed one? */
function goesDown(furthest: Points, diagonal: number, changes: number): boolean {
  if (diagonal === -changes) return true;
  if (diagonal === changes) return false;
  return pointOn(furthest, diagonal - 1) < pointOn(furthest, diagonal + 1);
}

function pointOn(furthest: Points, diagonal: number): number {
  return furthest.get(diagonal) ?? -1;
}

/** Back from the end, by the furthest points of every number of changes. */
function walk(
  trace: readonly Points[],
  before: readonly string[],
  after: readonly string[],
): Step[] {
  const steps: Step[] = [];
  let [x, y] = [before.length, after.length];
  const takeCommon = (until: number, untilY: number) => {
    while (x > until && y > untilY) {
      steps.push({ mark: " ", line: before[--x] ?? "" });
      y--;
    }
  };
  for (let changes = trace.length - 1; changes > 0; changes--) {
    const furthest = trace[changes] ?? new Map<number, number>();
    const diagonal = x - y;
    const isAdded = goesDown(furthest, diagonal, changes);
    const previous = isAdded ? diagonal + 1 : diagonal - 1;
    const fromX = pointOn(furthest, previous);
    takeCommon(fromX, fromX - previous);
    if (isAdded) steps.push({ mark: "+", line: after[--y] ?? "" });
    else steps.push({ mark: "-", line: before[--x] ?? "" });
  }
  takeCommon(0, 0);
  return steps.reverse();
}

function hunksOf(steps: readonly Step[]): string[] {
  const shown = steps.map(() => false);
  for (const [index, { mark }] of steps.entries()) {
    if (mark === " ") continue;
    const [from, to] = [Math.max(0, index - CONTEXT), Math.min(steps.length, index + CONTEXT + 1)];
    shown.fill(true, from, to);
  }
  const lines: string[] = [];
  let [old, now] = [1, 1];
  for (let index = 0; index < steps.length; ) {
    if (!shown[index]) {
      // Outside of hunks there is only what both have.
      index++;
      old++;
      now++;
      continue;
    }
    let end = index;
    while (end < steps.length && shown[end]) end++;
    const hunk = steps.slice(index, end);
    const olds = hunk.filter(({ mark }) => mark !== "+").length;
    const news = hunk.filter(({ mark }) => mark !== "-").length;
    lines.push(`@@ -${rangeOf(old, olds)} +${rangeOf(now, news)} @@`);
    for (const { mark, line } of hunk) lines.push(`${mark}${line}`);
    old += olds;
    now += news;
    index = end;
  }
  return lines;
}

/** An empty range is named by the line before it, as diff does. */
function rangeOf(start: number, count: number): string {
  if (count === 0) return `${start - 1},0`;
  return count === 1 ? String(start) : `${start},${count}`;
}
