import { type Identity, markerAt, round } from "./identity.ts";
import { type Markup, markup } from "./markup.ts";
import { linearScale, logScale, type Scale, type Span } from "./scale.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
  /** Drawn with the marker of its line. */
  readonly isMarked: boolean;
  /** Least and greatest, as a whisker. */
  readonly range?: Span;
}

export interface Line {
  readonly identity: Identity;
  readonly points: readonly Point[];
}

export interface Axis {
  /** With the unit; stands beside the axis. */
  readonly title: string;
  readonly isLog: boolean;
  /** Always within the plot, besides the values. */
  readonly include?: readonly number[];
  /** What stands at a place of the axis; by default the scale chooses. */
  readonly ticks?: readonly { readonly at: number; readonly label: string }[];
}

export interface LinePlot {
  /** What is shown, and what there is to see; for those who do not see it. */
  readonly title: string;
  readonly description: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
  /** Values of y between which a band is shaded. */
  readonly band?: Span;
  /** Places that are pointed at. */
  readonly spots?: readonly { readonly x: number; readonly y: number }[];
}

const WIDTH = 380;
const HEIGHT = 270;
const LEFT = 46;
const RIGHT = 24;
const TOP = 24;
const BOTTOM = 38;
const LETTER_GAP = 11;

/** A plot of lines as SVG with its own title and description. `id` must be unique in the page. */
export function linePlot(id: string, plot: LinePlot): Markup {
  const drawn = plot.lines.map((line) => ({
    ...line,
    points: line.points.filter(isDrawable(plot)),
  }));
  const points = drawn.flatMap((line) => line.points);
  const xs = points.map(({ x }) => x);
  const ys = points.flatMap(({ y, range = [y, y] }) => [y, ...range]);
  if (points.length === 0) return markup`<p class="empty">No figures.</p>`;
  const x = scaleOf(plot.x, xs, [LEFT, WIDTH - RIGHT]);
  const y = scaleOf(plot.y, ys, [HEIGHT - BOTTOM, TOP]);
  return markup`<svg class="plot" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${plot.title}</title><desc id="${id}-d">${plot.description}</desc>${band(plot, y)}${xAxis(plot.x, x)}${yAxis(plot.y, y)}${drawn.map((line) => curve(line, x, y))}${(plot.spots ?? []).map((spot) => markup`<circle class="spot" cx="${round(x.at(spot.x))}" cy="${round(y.at(spot.y))}" r="6"/>`)}${letters(drawn, x, y)}</svg>`;
}

/** A logarithmic axis has no place for zero. */
function isDrawable({ x, y }: LinePlot): (point: Point) => boolean {
  return (point) =>
    Number.isFinite(point.x) &&
    Number.isFinite(point.y) &&
    (!x.isLog || point.x > 0) &&
    (!y.isLog || (point.y > 0 && (point.range?.[0] ?? 1) > 0));
}

function scaleOf(axis: Axis, values: readonly number[], place: Span): Scale {
  const all = [...values, ...(axis.include ?? [])];
  const low = all.reduce((least, one) => Math.min(least, one));
  const high = all.reduce((most, one) => Math.max(most, one));
  if (!axis.isLog) return linearScale([low, high], place);
  // A line along the very edge is hard to see.
  return axis.ticks === undefined
    ? logScale([low / 1.15, high * 1.15], place)
    : logScale([low, high], place);
}

function band({ band: edges }: LinePlot, y: Scale): Markup | null {
  if (edges === undefined) return null;
  const [low, high] = [y.at(edges[0]), y.at(edges[1])];
  return markup`<rect class="band" x="${LEFT}" y="${round(high)}" width="${WIDTH - LEFT - RIGHT}" height="${round(low - high)}"/>`;
}

function xAxis(axis: Axis, scale: Scale): Markup {
  const bottom = HEIGHT - BOTTOM;
  const ticks = axis.ticks ?? scale.ticks.map((at) => ({ at, label: shortNumber(at) }));
  return markup`${ticks.map(
    ({ at, label }) =>
      markup`<line class="grid" x1="${round(scale.at(at))}" y1="${TOP}" x2="${round(scale.at(at))}" y2="${bottom}"/><text x="${round(scale.at(at))}" y="${bottom + 14}" text-anchor="middle">${label}</text>`,
  )}<line class="axis" x1="${LEFT}" y1="${bottom}" x2="${WIDTH - RIGHT}" y2="${bottom}"/><text class="axis-title" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${axis.title}</text>`;
}

function yAxis(axis: Axis, scale: Scale): Markup {
  const ticks = axis.ticks ?? scale.ticks.map((at) => ({ at, label: shortNumber(at) }));
  return markup`${ticks.map(
    ({ at, label }) =>
      markup`<line class="grid" x1="${LEFT}" y1="${round(scale.at(at))}" x2="${WIDTH - RIGHT}" y2="${round(scale.at(at))}"/><text x="${LEFT - 6}" y="${round(scale.at(at) + 3.8)}" text-anchor="end">${label}</text>`,
  )}<text class="axis-title" x="4" y="11">${axis.title}</text>`;
}

function curve({ identity, points }: Line, x: Scale, y: Scale): Markup {
  const path = points
    .map((point, at) => `${at === 0 ? "M" : "L"}${round(x.at(point.x))} ${round(y.at(point.y))}`)
    .join("");
  const whiskers = points.map(({ x: place, range }) =>
    range === undefined
      ? null
      : markup`<line class="whisker" x1="${round(x.at(place))}" y1="${round(y.at(range[0]))}" x2="${round(x.at(place))}" y2="${round(y.at(range[1]))}"/>`,
  );
  const marks = points
    .filter(({ isMarked }) => isMarked)
    .map((point) => markerAt(identity.marker, x.at(point.x), y.at(point.y)));
  return markup`<g class="${identity.color}"><path class="line" d="${path}" stroke-dasharray="${identity.dash}"/>${whiskers}${marks}</g>`;
}

/** The letter of each line at the right, moved apart where lines end close together, with a hair line to its end. */
function letters(lines: readonly Line[], x: Scale, y: Scale): Markup[] {
  const ends = lines
    .flatMap(({ identity, points }) => {
      const last = points.at(-1);
      return last === undefined ? [] : [{ identity, x: x.at(last.x), y: y.at(last.y) }];
    })
    .sort((a, b) => a.y - b.y);
  const places = spreadOut(
    ends.map((end) => end.y),
    LETTER_GAP,
    [TOP, HEIGHT - BOTTOM],
  );
  const left = WIDTH - RIGHT + 9;
  return ends.map(({ identity, x: endX, y: endY }, at) => {
    const place = places[at] ?? endY;
    return markup`<g class="${identity.color}"><line class="hair" x1="${round(endX)}" y1="${round(endY)}" x2="${left - 2}" y2="${round(place)}"/><text class="letter" x="${left}" y="${round(place + 3.8)}">${identity.letter}</text></g>`;
  });
}

/** Ascending places at least so far apart, as near to the wanted ones as going down and then up again finds. */
export function spreadOut(wanted: readonly number[], gap: number, [top, bottom]: Span): number[] {
  const places = [...wanted];
  for (const [at, place] of places.entries()) {
    places[at] = Math.max(place, at === 0 ? top : (places[at - 1] ?? top) + gap);
  }
  for (let at = places.length - 1; at >= 0; at--) {
    const limit = at === places.length - 1 ? bottom : (places[at + 1] ?? bottom) - gap;
    places[at] = Math.min(places[at] ?? limit, limit);
  }
  return places;
}

/** `10k`, `2M`, `0.05`: short enough for an axis. */
export function shortNumber(value: number): string {
  if (Math.abs(value) >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (Math.abs(value) >= 1e4) return `${Number((value / 1e3).toPrecision(3))}k`;
  return value >= 1_000 ? value.toLocaleString("en-US") : String(value);
}
