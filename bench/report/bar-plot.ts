import { fitText } from "./fit-text.ts";
import { type Identity, round } from "./identity.ts";
import { shortNumber } from "./line-plot.ts";
import { type Markup, markup } from "./markup.ts";
import { barScale, type Scale } from "./scale.ts";

export interface Bar {
  readonly identity: Identity;
  /** null: there is no figure, and `note` says why. */
  readonly value: { readonly median: number; readonly min: number; readonly max: number } | null;
  /** Stands behind the bar, as `14.4 (0.79x)`. */
  readonly note: string;
  /** Hatched: the figure is not the contestant's own. */
  readonly isQualified: boolean;
}

export interface BarPlot {
  readonly title: string;
  readonly description: string;
  readonly axis: string;
  readonly bars: readonly Bar[];
  /** Where a line across all bars stands. */
  readonly baseline: number | null;
}

const WIDTH = 380;
const LEFT = 150;
const RIGHT = 92;
const TOP = 6;
const ROW = 22;
const BOTTOM = 36;
/** Size of the text, as the style sheet has it. */
const FONT = 11;

/** Horizontal bars with whiskers from least to greatest, as SVG with its own title and description. */
export function barPlot(id: string, { title, description, axis, bars, baseline }: BarPlot): Markup {
  const most = bars.reduce((so, { value }) => Math.max(so, value?.max ?? 0), 0);
  const bottom = TOP + bars.length * ROW;
  const scale = barScale(most, [LEFT, WIDTH - RIGHT]);
  const line =
    baseline === null
      ? null
      : markup`<line class="baseline" x1="${round(scale.at(baseline))}" y1="${TOP}" x2="${round(scale.at(baseline))}" y2="${bottom}"/>`;
  return markup`<svg class="plot" viewBox="0 0 ${WIDTH} ${bottom + BOTTOM}" role="img" aria-labelledby="${id}-t ${id}-d"><title id="${id}-t">${title}</title><desc id="${id}-d">${description}</desc><defs><pattern id="${id}-h" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch" width="3" height="6"/></pattern></defs>${scale.ticks.map((tick) => gridLine(tick, scale, bottom))}${bars.map((bar, at) => drawing(id, bar, TOP + at * ROW, scale))}${line}${bars.map((bar, at) => texts(bar, TOP + at * ROW, scale))}<text class="axis-title" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${bottom + 30}" text-anchor="middle">${axis}</text></svg>`;
}

function gridLine(tick: number, scale: Scale, bottom: number): Markup {
  const x = round(scale.at(tick));
  return markup`<line class="grid" x1="${x}" y1="${TOP}" x2="${x}" y2="${bottom}"/><text x="${x}" y="${bottom + 14}" text-anchor="middle">${shortNumber(tick)}</text>`;
}

/** Bar and whisker; the text comes later, so that no line crosses it. */
function drawing(id: string, { identity, value, isQualified }: Bar, top: number, scale: Scale) {
  if (value === null) return null;
  const middle = top + ROW / 2;
  const width = round(Math.max(1, scale.at(value.median) - LEFT));
  const rect = (kind: Markup) =>
    markup`<rect ${kind} x="${LEFT}" y="${top + 4}" width="${width}" height="${ROW - 8}"/>`;
  const [low, high] = [round(scale.at(value.min)), round(scale.at(value.max))];
  const hatch = isQualified ? rect(markup`fill="url(#${id}-h)"`) : null;
  return markup`<g class="${identity.color}">${rect(markup`class="bar"`)}${hatch}<path class="halo" d="M${low} ${middle}H${high}"/><path class="range" d="M${low} ${middle - 4}V${middle + 4}M${low} ${middle}H${high}M${high} ${middle - 4}V${middle + 4}"/></g>`;
}

function texts({ identity, value, note }: Bar, top: number, scale: Scale): Markup {
  const y = round(top + ROW / 2 + 3.8);
  const end = value === null ? LEFT : scale.at(Math.max(value.max, value.median));
  return markup`<text x="${LEFT - 6}" y="${y}" text-anchor="end">${fitText(identity.name, LEFT - 2, FONT)}</text><text class="value" x="${round(end + 6)}" y="${y}">${note}</text>`;
}
