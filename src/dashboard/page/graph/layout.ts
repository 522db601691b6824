import {
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
 * Where nodes stand: callers left of callees (a layer beside the other), within a layer where their edges pull them. Nodes
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

  /**
   * Takes the graph's nodes and edges. `isUpright`: layers lie below each other, for what is higher than wide. True: its
   * shape is another than before, and `turn` has work.
   */
  take({ nodes, edges }: Graph, isUpright: boolean): boolean {
    const calls = edges.filter(({ from, to }) => from !== to);
    const pairs = new Set(calls.map(({ from, to }) => `${from}\n${to}`));
    const stands = nodes.map(({ id, layer }) => `${id} ${layer}`).join("\n");
    const shape = `${isUpright}\n${stands}\n\n${[...pairs].join("\n\n")}`;
    if (shape === this.#shape) return false;
    this.#shape = shape;
    const isFirst = this.#places.size === 0;
    const places = this.#placed(nodes, isUpright);
    this.#places = new Map(places.map((place) => [place.id, place]));
    this.#setForces(places, isUpright);
    this.#links.links(
      [...pairs].map((pair) => {
        const [source = "", target = ""] = pair.split("\n");
        return { source, target };
      }),
    );
    this.#simulation.alpha(isFirst ? 1 : 0.35);
    return true;
  }

  #placed(nodes: Graph["nodes"], isUpright: boolean): Place[] {
    const apart = layerDistance(nodes, isUpright);
    const counts = new Map<number, number>();
    return nodes.map(({ id, layer }): Place => {
      const at = counts.get(layer) ?? 0;
      counts.set(layer, at + 1);
      const known = this.#places.get(id);
      if (known !== undefined) return Object.assign(known, { layer });
      // On both sides of the middle by turns.
      const aside = (at % 2 === 0 ? 1 : -1) * Math.ceil(at / 2) * 46;
      const along = layer * apart;
      return isUpright ? { id, layer, x: aside, y: along } : { id, layer, x: along, y: aside };
    });
  }

  #setForces(places: Place[], isUpright: boolean): void {
    const isLarge = places.length > LARGE;
    const apart = layerDistance(places, isUpright);
    const along = ({ layer }: Place) => layer * apart;
    const [strong, weak] = isLarge ? [0.3, 0.03] : [0.8, 0.05];
    this.#simulation.nodes(places);
    this.#simulation
      .force("link", this.#links.distance(apart).strength(isLarge ? 0.02 : 0.1))
      .force(
        "charge",
        forceManyBody<Place>()
          .strength(isLarge ? -160 : -260)
          .distanceMax(600),
      )
      .force("collide", forceCollide<Place>(isLarge ? 30 : 38))
      .force("x", isUpright ? forceX<Place>(0).strength(weak) : forceX(along).strength(strong))
      .force("y", isUpright ? forceY(along).strength(strong) : forceY<Place>(0).strength(weak));
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

/** Above it, nodes stand beside each other in wide layers too. */
const LARGE = 120;

/** From layer to layer; in large graphs so that the whole is half as wide again as it is high. */
function layerDistance(nodes: readonly { readonly layer: number }[], isUpright: boolean): number {
  if (nodes.length <= LARGE) return isUpright ? 105 : 190;
  const layers = 1 + nodes.reduce((most, { layer }) => Math.max(most, layer), 0);
  return Math.max(50, (Math.sqrt(nodes.length * 1.5) * 75) / layers);
}
