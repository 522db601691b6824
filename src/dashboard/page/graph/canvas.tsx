import { useEffect, useRef } from "preact/hooks";
import { usePage } from "../parts/state.ts";
import { type Camera, fit, reveal, zoom } from "./camera.ts";
import { draw, readPalette } from "./draw.ts";
import { hit, nearestNode } from "./geometry.ts";
import { Layout } from "./layout.ts";
import type { Graph } from "./model.ts";

interface Props {
  readonly graph: Graph;
  readonly selected: string | null;
  /** The picture in words. */
  readonly label: string;
  readonly onSelect: (id: string | null) => void;
  readonly onOpen: (id: string) => void;
}

const ARROWS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};

/** Moves of the pointer below it are a click. */
const CLICK_PX = 4;

/** The picture of a graph and what is done with it; keeps its own time, apart from that of the page's parts. */
class GraphView {
  readonly #canvas: HTMLCanvasElement;
  readonly #layout = new Layout();
  #graph: Graph = { nodes: [], edges: [] };
  #camera: Camera = { scale: 1, dx: 0, dy: 0 };
  /** The reader has moved the picture: it is not fitted any more. */
  #isMoved = false;
  #palette = readPalette();
  #selected: string | null = null;
  #hovered: string | null = null;
  #frame = 0;
  #isLayingOut = false;
  readonly #isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  show(graph: Graph, selected: string | null): void {
    this.#graph = graph;
    this.#selected = selected;
    this.#take();
    this.request();
  }

  #take(): void {
    const { clientWidth, clientHeight } = this.#canvas;
    if (!this.#layout.take(this.#graph, clientHeight > clientWidth)) return;
    this.#isLayingOut = true;
    this.#isMoved = false;
  }

  resize(): void {
    this.#take();
    this.request();
  }

  recolor(): void {
    this.#palette = readPalette();
    this.request();
  }

  end(): void {
    cancelAnimationFrame(this.#frame);
    this.#frame = 0;
  }

  request(): void {
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#turn());
  }

  refit(): void {
    this.#isMoved = false;
    this.request();
  }

  pan(dx: number, dy: number): void {
    this.#isMoved = true;
    this.#camera = { ...this.#camera, dx: this.#camera.dx + dx, dy: this.#camera.dy + dy };
    this.request();
  }

  zoom(factor: number, x?: number, y?: number): void {
    this.#isMoved = true;
    const { clientWidth, clientHeight } = this.#canvas;
    this.#camera = zoom(this.#camera, factor, x ?? clientWidth / 2, y ?? clientHeight / 2);
    this.request();
  }

  at(x: number, y: number): string | null {
    return hit(this.#graph, this.#layout, this.#camera, x, y);
  }

  hover(id: string | null): void {
    if (id === this.#hovered) return;
    this.#hovered = id;
    this.#canvas.classList.toggle("is-over", id !== null);
    this.request();
  }

  /** The node to which an arrow key leads. */
  next(direction: readonly [number, number]): string | null {
    const { nodes } = this.#graph;
    const from = this.#selected;
    if (from === null || this.#layout.place(from) === undefined) return nodes[0]?.id ?? null;
    const id = nearestNode(this.#graph, this.#layout, from, direction);
    const place = id === null ? undefined : this.#layout.place(id);
    if (place === undefined) return null;
    this.#camera = reveal(this.#camera, place, this.#canvas.clientWidth, this.#canvas.clientHeight);
    return id;
  }

  #turn(): void {
    this.#frame = 0;
    if (this.#isLayingOut) this.#isLayingOut = this.#layout.turn();
    // Who wants no motion sees the picture once it rests.
    if (!this.#isLayingOut || !this.#isCalm) this.#draw();
    if (this.#isLayingOut) this.request();
    this.#canvas.dataset["rests"] = String(!this.#isLayingOut);
  }

  #draw(): void {
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.#canvas.width !== w || this.#canvas.height !== h) {
      this.#canvas.width = w;
      this.#canvas.height = h;
    }
    const context = this.#canvas.getContext("2d");
    if (context === null || width === 0) return;
    if (!this.#isMoved) this.#camera = fit(this.#layout.places, width, height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const [graph, layout, camera, palette] = [
      this.#graph,
      this.#layout,
      this.#camera,
      this.#palette,
    ];
    draw(
      context,
      { graph, layout, camera, palette, selected: this.#selected, hovered: this.#hovered },
      width,
      height,
    );
  }
}

/** Pointer, wheel and touch. Returns what ends it. */
function listen(
  canvas: HTMLCanvasElement,
  view: GraphView,
  onSelect: (id: string | null) => void,
): () => void {
  const ending = new AbortController();
  const options = { signal: ending.signal };
  const pointers = new Map<number, { x: number; y: number }>();
  let travelled = 0;
  canvas.addEventListener(
    "pointerdown",
    (event) => {
      canvas.setPointerCapture(event.pointerId);
      pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
      travelled = 0;
    },
    options,
  );
  canvas.addEventListener(
    "pointermove",
    (event) => {
      const last = pointers.get(event.pointerId);
      if (last === undefined) return view.hover(view.at(event.offsetX, event.offsetY));
      const [dx, dy] = [event.offsetX - last.x, event.offsetY - last.y];
      travelled += Math.hypot(dx, dy);
      const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
      if (other !== undefined) {
        const before = Math.hypot(last.x - other.x, last.y - other.y);
        const after = Math.hypot(event.offsetX - other.x, event.offsetY - other.y);
        view.zoom(after / Math.max(1, before), other.x, other.y);
      } else if (travelled > CLICK_PX) view.pan(dx, dy);
      pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    },
    options,
  );
  canvas.addEventListener(
    "pointerup",
    (event) => {
      pointers.delete(event.pointerId);
      if (travelled <= CLICK_PX) onSelect(view.at(event.offsetX, event.offsetY));
    },
    options,
  );
  canvas.addEventListener("pointercancel", (event) => pointers.delete(event.pointerId), options);
  canvas.addEventListener("pointerleave", () => view.hover(null), options);
  canvas.addEventListener(
    "wheel",
    (event) => {
      // The page scrolls as ever; with Ctrl, as pinching on a touchpad gives, the picture zooms.
      if (!event.ctrlKey) return;
      event.preventDefault();
      view.zoom(Math.exp(-event.deltaY * 0.005), event.offsetX, event.offsetY);
    },
    { ...options, passive: false },
  );
  return () => ending.abort();
}

/** What a key does; false: nothing. */
function press(
  key: string,
  view: GraphView,
  { selected, onSelect, onOpen }: Pick<Props, "selected" | "onSelect" | "onOpen">,
): boolean {
  const direction = ARROWS[key];
  if (direction !== undefined) {
    const next = view.next(direction);
    if (next !== null) onSelect(next);
    return true;
  }
  const actions: Readonly<Record<string, () => void>> = {
    Enter: () => selected !== null && onOpen(selected),
    Escape: () => onSelect(null),
    "+": () => view.zoom(1.25),
    "=": () => view.zoom(1.25),
    "-": () => view.zoom(0.8),
    "0": () => view.refit(),
  };
  const action = actions[key];
  action?.();
  return action !== undefined;
}

/** The graph as a picture that can be moved, and walked with the arrow keys. */
export function GraphCanvas({ graph, selected, label, onSelect, onOpen }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const view = useRef<GraphView | null>(null);
  const { isDark } = usePage();
  const select = useRef(onSelect);
  select.current = onSelect;
  useEffect(() => {
    const element = canvas.current;
    if (element === null) return;
    const made = new GraphView(element);
    view.current = made;
    const stop = listen(element, made, (id) => select.current(id));
    const observer = new ResizeObserver(() => made.resize());
    observer.observe(element);
    return () => {
      stop();
      observer.disconnect();
      made.end();
    };
  }, []);
  useEffect(() => view.current?.show(graph, selected), [graph, selected]);
  useEffect(() => view.current?.recolor(), [isDark]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (view.current === null) return;
    if (!press(event.key, view.current, { selected, onSelect, onOpen })) return;
    event.preventDefault();
  };
  return (
    <div class="graph-box">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: an application is interactive, its keys are named in its label */}
      <div class="graph" tabIndex={0} role="application" aria-label={label} onKeyDown={onKeyDown}>
        <canvas ref={canvas} />
      </div>
      <div class="graph-tools">
        <button type="button" aria-label="Zoom in" onClick={() => view.current?.zoom(1.25)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" onClick={() => view.current?.zoom(0.8)}>
          −
        </button>
        <button type="button" onClick={() => view.current?.refit()}>
          Fit
        </button>
      </div>
    </div>
  );
}
