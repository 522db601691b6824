import {
  type Force,
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type Simulation,
  type SimulationLinkDatum,
  type SimulationNodeDatum,
} from "d3-force";
import type { Graph } from "./model.ts";

export interface Place extends SimulationNodeDatum {
  readonly id: string;
  layer: number;
  x: number;
  y: number;
}

type Link = SimulationLinkDatum<Place>;

/** Of a turn of the event loop, the layout takes so much at most: input is answered between. */
const TURN_MS = 6;
/** The layout rests once it has cooled to this. */
const RESTS_AT = 0.02;

/**
 * Where nodes stand: callers left of callees (a column for each layer), within a column where their edges pull them. Nodes
 * keep their places from report to report; what is new comes in between. Nothing is left to chance: the same
 * graph gives the same picture.
 */
export class Layout {
  readonly #simulation: Simulation<Place, Link>;
  readonly #links = forceLink<Place, Link>([]).id(({ id }) => id);
  #places = new Map<string, Place>();
  #shape = "";

  constructor() {
    this.#simulation = forceSimulation<Place>([]).stop().alphaDecay(0.03).velocityDecay(0.45);
  }

  /** Takes the graph's nodes and edges; true: its shape is another than before, and `turn` has work. */
  take({ nodes, edges }: Graph): boolean {
    const pairs = new Set(
      edges.filter(({ from, to }) => from !== to).map(({ from, to }) => `${from}\n${to}`),
    );
    const shape = `${nodes.map(({ id, layer }) => `${id} ${layer}`).join("\n")}\n\n${[...pairs].join("\n\n")}`;
    if (shape === this.#shape) return false;
    this.#shape = shape;
    const widthOf = columnWidth(nodes.length);
    const counts = new Map<number, number>();
    const isFirst = this.#places.size === 0;
    const places = nodes.map(({ id, layer }): Place => {
      const at = counts.get(layer) ?? 0;
      counts.set(layer, at + 1);
      const known = this.#places.get(id);
      if (known !== undefined) return Object.assign(known, { layer });
      // Above and below the middle by turns.
      const y = (at % 2 === 0 ? 1 : -1) * Math.ceil(at / 2) * 46;
      return { id, layer, x: layer * widthOf, y };
    });
    this.#places = new Map(places.map((place) => [place.id, place]));
    this.#links.links(
      [...pairs].map((pair) => {
        const [source = "", target = ""] = pair.split("\n");
        return { source, target };
      }),
    );
    this.#setForces(places, widthOf);
    this.#simulation.alpha(isFirst ? 1 : 0.35);
    return true;
  }

  #setForces(places: Place[], widthOf: number): void {
    const isLarge = places.length > 120;
    this.#simulation.nodes(places);
    this.#simulation
      .force("link", this.#links.distance(widthOf).strength(isLarge ? 0.02 : 0.12))
      .force(
        "charge",
        forceManyBody<Place>()
          .strength(isLarge ? -160 : -260)
          .distanceMax(600),
      )
      .force("collide", forceCollide<Place>(isLarge ? 30 : 36) as Force<Place, Link>)
      .force("x", forceX<Place>(({ layer }) => layer * widthOf).strength(isLarge ? 0.25 : 0.7))
      .force("y", forceY<Place>(0).strength(isLarge ? 0.03 : 0.05));
  }

  /** Goes on with the layout for a few ms; false: it rests. */
  turn(): boolean {
    const until = performance.now() + TURN_MS;
    while (this.#simulation.alpha() > RESTS_AT) {
      this.#simulation.tick();
      if (performance.now() >= until) return true;
    }
    return false;
  }

  place(id: string): Place | undefined {
    return this.#places.get(id);
  }

  get places(): IterableIterator<Place> {
    return this.#places.values();
  }
}

/** Large graphs have wide columns, in which nodes stand beside each other too. */
function columnWidth(nodes: number): number {
  return nodes > 120 ? 420 : 190;
}
