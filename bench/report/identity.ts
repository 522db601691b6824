import type { Between, Mode, Peer } from "../model.ts";
import { type Markup, markup } from "./markup.ts";

/** What a contestant looks like in every plot: told apart by letter, dash and marker too, not by colour alone. */
export interface Identity {
  readonly name: string;
  /** Stands at the end of its line. */
  readonly letter: string;
  /** Class of the style sheet that sets the colour of its program. */
  readonly color: string;
  /** Value of stroke-dasharray; `none` is a whole line. */
  readonly dash: string;
  readonly marker: Marker;
}

export type Marker = "circle" | "square" | "triangle" | "diamond" | "cross";

interface Known {
  readonly name: string;
  readonly peer: Peer | null;
  readonly mode: Mode;
  readonly between: Between;
}

const LOOKS: Readonly<Record<Between, readonly [string, Marker]>> = {
  none: ["none", "circle"],
  plain: ["9 3", "square"],
  "mtls-http1": ["4 3", "triangle"],
  "mtls-http2": ["9 3 2 3", "diamond"],
  "mtls-tcp": ["4 3", "triangle"],
};

/** Colour tells the program, dash and marker tell what two proxies speak between them. */
export function identities(contestants: readonly Known[]): ReadonlyMap<string, Identity> {
  return new Map(
    contestants.map(({ name, peer, mode, between }, at) => {
      const [dash, marker] = mode === "direct" ? (["2 3", "cross"] as const) : LOOKS[between];
      const color = `c-${peer ?? "direct"}`;
      return [name, { name, letter: letterOf(at), color, dash, marker }];
    }),
  );
}

/** For those of whom no more than a name is known, as `haproxy sidecars, mTLS`: the program is the first word. */
export function identitiesByName(names: readonly string[]): ReadonlyMap<string, Identity> {
  const peers: readonly Peer[] = ["hostmesh", "nginx", "haproxy", "envoy"];
  return identities(
    names.map((name) => {
      const peer = peers.find((one) => name.toLowerCase().startsWith(one)) ?? null;
      return { name, peer, mode: "host", between: betweenOf(name) };
    }),
  );
}

function betweenOf(name: string): Between {
  if (/mtls/i.test(name)) return /h2|http\/2/i.test(name) ? "mtls-http2" : "mtls-http1";
  return /sidecar|pair/i.test(name) ? "plain" : "none";
}

/** A to Z, then A1 to Z1 and so on. */
function letterOf(at: number): string {
  const round = Math.floor(at / 26);
  return String.fromCharCode(65 + (at % 26)) + (round === 0 ? "" : String(round));
}

const SIZE = 3.4;

/** The marker with its middle at this place. */
export function markerAt(marker: Marker, x: number, y: number): Markup {
  const left = round(x - SIZE);
  const right = round(x + SIZE);
  const top = round(y - SIZE);
  const bottom = round(y + SIZE);
  const path: Readonly<Record<Exclude<Marker, "circle">, string>> = {
    square: `M${left} ${top}H${right}V${bottom}H${left}Z`,
    triangle: `M${round(x)} ${top}L${right} ${bottom}H${left}Z`,
    diamond: `M${round(x)} ${round(y - SIZE * 1.3)}L${round(x + SIZE * 1.3)} ${round(y)}L${round(x)} ${round(y + SIZE * 1.3)}L${round(x - SIZE * 1.3)} ${round(y)}Z`,
    cross: `M${left} ${top}L${right} ${bottom}M${left} ${bottom}L${right} ${top}`,
  };
  if (marker === "circle") {
    return markup`<circle class="mark" cx="${round(x)}" cy="${round(y)}" r="${SIZE}"/>`;
  }
  const kind = marker === "cross" ? "mark line" : "mark";
  return markup`<path class="${kind}" d="${path[marker]}"/>`;
}

/** Which line is whose. */
export function legend(shown: readonly Identity[]): Markup {
  return markup`<ul class="legend">${shown.map(
    ({ name, letter, color, dash, marker }) =>
      markup`<li class="${color}"><svg viewBox="0 0 44 12" width="44" height="12" aria-hidden="true"><line class="line" x1="1" y1="6" x2="43" y2="6" stroke-dasharray="${dash}"/>${markerAt(marker, 22, 6)}</svg><b>${letter}</b> <span>${name}</span></li>`,
  )}</ul>`;
}

/** A coordinate: a tenth of a pixel is enough. */
export function round(value: number): number {
  return Math.round(value * 10) / 10;
}
