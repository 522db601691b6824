import type { Health } from "../model/health.ts";
import { colorOf } from "../parts/theme.ts";
import type { Camera } from "./camera.ts";
import { curveOf, nodeRadius, pointAt } from "./geometry.ts";
import type { Layout, Place } from "./layout.ts";
import type { Graph, GraphEdge, GraphNode } from "./model.ts";

/** Colours of the style sheet, read once for each theme. */
export interface Palette {
  readonly ground: string;
  readonly ink: string;
  readonly muted: string;
  readonly accent: string;
  readonly health: Readonly<Record<Health, string>>;
}

export function readPalette(): Palette {
  return {
    ground: colorOf("panel"),
    ink: colorOf("ink"),
    muted: colorOf("muted"),
    accent: colorOf("accent"),
    health: {
      good: colorOf("good"),
      warn: colorOf("warn"),
      bad: colorOf("bad"),
      none: colorOf("faint"),
    },
  };
}

export interface Scene {
  readonly graph: Graph;
  readonly layout: Layout;
  readonly camera: Camera;
  readonly palette: Palette;
  /** Ids of the chosen and of what the pointer is over; null: none. */
  readonly selected: string | null;
  readonly hovered: string | null;
}

/** Dashes tell what colours tell too. In pixels of the screen. */
const DASHES: Readonly<Record<Health, readonly number[]>> = {
  good: [],
  warn: [9, 4],
  bad: [3, 3],
  none: [1, 4],
};
/** In larger graphs locks are drawn for the chosen node's edges only. */
const MOST_LOCKS = 150;
/** Labels of graphs up to here are always drawn; of larger ones when they have room. */
const ALWAYS_LABELLED = 60;
const LABEL_SCALE = 0.75;

/** Draws the whole picture. 500 nodes and 2,000 edges take some 10 ms: edges that look the same are one path. */
export function draw(
  context: CanvasRenderingContext2D,
  scene: Scene,
  width: number,
  height: number,
): void {
  context.clearRect(0, 0, width, height);
  const { graph, selected } = scene;
  const near = neighbours(graph, selected);
  drawEdges(context, scene, near);
  const isLocked = graph.edges.length <= MOST_LOCKS;
  for (const edge of graph.edges) {
    if (edge.health !== "none" && (isLocked || touches(edge, selected)))
      drawLock(context, scene, edge);
  }
  for (const node of graph.nodes) drawNode(context, scene, node, near);
  drawLabels(context, scene, near);
}

const touches = ({ id, from, to }: GraphEdge, selected: string | null) =>
  selected !== null && (from === selected || to === selected || id === selected);

/** The chosen and those it talks to; null: nothing is chosen, all are shown alike. */
function neighbours({ edges }: Graph, selected: string | null): ReadonlySet<string> | null {
  if (selected === null) return null;
  const near = new Set([selected]);
  for (const edge of edges) if (touches(edge, selected)) near.add(edge.from).add(edge.to);
  return near;
}

/** What is worse is drawn over what is better. */
const ORDER: readonly Health[] = ["none", "good", "warn", "bad"];

function drawEdges(
  context: CanvasRenderingContext2D,
  scene: Scene,
  near: ReadonlySet<string> | null,
): void {
  const { graph, selected, hovered } = scene;
  const most = Math.max(1, ...graph.edges.map(({ figures }) => figures.rps));
  const isCrowded = graph.edges.length > MOST_LOCKS;
  const groups = Map.groupBy(graph.edges, (edge) => {
    const isChosen = edge.id === hovered || edge.id === selected;
    const width = edgeWidth(edge.figures.rps, most) * (isCrowded ? 0.5 : 1) + (isChosen ? 2 : 0);
    return `${edge.health} ${width} ${edgeAlpha(edge, scene, near, isCrowded)}`;
  });
  const looks = [...groups].map(([look, edges]) => {
    const [health, width, alpha] = look.split(" ") as [Health, string, string];
    return { health, width: Number(width), alpha: Number(alpha), edges };
  });
  looks.sort((a, b) => ORDER.indexOf(a.health) - ORDER.indexOf(b.health) || a.alpha - b.alpha);
  for (const look of looks) drawLook(context, scene, look);
  context.globalAlpha = 1;
}

/** In a crowd only what goes wrong, and what is chosen, stands out. */
function edgeAlpha(
  edge: GraphEdge,
  { selected }: Scene,
  near: ReadonlySet<string> | null,
  isCrowded: boolean,
): number {
  if (near !== null) return touches(edge, selected) ? 0.9 : isCrowded ? 0.05 : 0.15;
  if (!isCrowded) return 0.8;
  return edge.health === "bad" ? 0.9 : edge.health === "warn" ? 0.45 : 0.18;
}

interface Look {
  readonly health: Health;
  readonly width: number;
  readonly alpha: number;
  readonly edges: readonly GraphEdge[];
}

/** Edges that look the same, as one path. */
function drawLook(context: CanvasRenderingContext2D, scene: Scene, look: Look): void {
  const { layout, camera, palette } = scene;
  const { health, width, alpha, edges } = look;
  context.globalAlpha = alpha;
  context.strokeStyle = palette.health[health];
  context.fillStyle = palette.health[health];
  context.lineWidth = width;
  context.setLineDash([...DASHES[health]]);
  context.beginPath();
  const heads = new Path2D();
  for (const edge of edges) {
    const curve = curveOf(edge, layout, camera);
    if (curve === null) continue;
    context.moveTo(curve.x1, curve.y1);
    context.quadraticCurveTo(curve.cx, curve.cy, curve.x2, curve.y2);
    addHead(heads, curve, 5 + width);
  }
  context.stroke();
  context.setLineDash([]);
  if (camera.scale > 0.3) context.fill(heads);
}

/** Steps, so that few widths are drawn: 1 to 6 pixels by the logarithm of the rate. */
function edgeWidth(rps: number, most: number): number {
  if (rps === 0) return 1;
  return 1 + Math.round(5 * (Math.log1p(rps) / Math.log1p(most)));
}

function addHead(path: Path2D, curve: NonNullable<ReturnType<typeof curveOf>>, size: number): void {
  const angle = Math.atan2(curve.y2 - curve.cy, curve.x2 - curve.cx);
  const corner = (turn: number) =>
    [curve.x2 - size * Math.cos(angle + turn), curve.y2 - size * Math.sin(angle + turn)] as const;
  path.moveTo(curve.x2, curve.y2);
  path.lineTo(...corner(0.45));
  path.lineTo(...corner(-0.45));
  path.closePath();
}

/** A padlock in the middle of an edge; its shackle is open where something went in the clear. */
function drawLock(
  context: CanvasRenderingContext2D,
  { layout, camera, palette, selected }: Scene,
  edge: GraphEdge,
): void {
  const isFar = selected !== null && !touches(edge, selected);
  const curve = curveOf(edge, layout, camera);
  if (curve === null || camera.scale < 0.35) return;
  const [x, y] = pointAt(curve, 0.5);
  const { secured } = edge.figures;
  const color = secured ? palette.health.good : palette.health.warn;
  context.fillStyle = palette.ground;
  context.globalAlpha = 1;
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  context.fill();
  context.globalAlpha = isFar ? 0.35 : 1;
  context.strokeStyle = color;
  context.fillStyle = color;
  context.lineWidth = 1.4;
  context.beginPath();
  // The open shackle has come out of its hole on the right, and stands higher.
  if (secured) context.arc(x, y - 1, 2.6, Math.PI, 0);
  else context.arc(x, y - 2.5, 2.6, Math.PI, -0.5);
  context.stroke();
  context.fillRect(x - 4, y - 0.5, 8, 5.5);
  context.globalAlpha = 1;
}

function drawNode(
  context: CanvasRenderingContext2D,
  scene: Scene,
  node: GraphNode,
  near: ReadonlySet<string> | null,
): void {
  const place = scene.layout.place(node.id);
  if (place === undefined) return;
  const { camera, palette, selected, hovered } = scene;
  const [x, y] = [place.x * camera.scale + camera.dx, place.y * camera.scale + camera.dy];
  const radius = nodeRadius(node, camera);
  context.globalAlpha = near === null || near.has(node.id) ? 1 : 0.25;
  context.beginPath();
  // What is no service is a square: it only calls.
  if (node.isService) context.arc(x, y, radius, 0, 2 * Math.PI);
  else context.rect(x - radius * 0.85, y - radius * 0.85, radius * 1.7, radius * 1.7);
  context.fillStyle = palette.ground;
  context.fill();
  context.strokeStyle = palette.health[node.health];
  context.lineWidth = Math.max(1.5, radius * 0.22);
  context.setLineDash(DASHES[node.health].map((part) => part * 0.8));
  context.stroke();
  context.setLineDash([]);
  if (radius > 7) drawSign(context, node.health, x, y, radius * 0.36, palette);
  if (node.id === selected || node.id === hovered) {
    context.beginPath();
    context.arc(x, y, radius + 5, 0, 2 * Math.PI);
    context.strokeStyle = palette.accent;
    context.lineWidth = 2;
    context.stroke();
  }
  context.globalAlpha = 1;
}

/** The same signs that stand beside words elsewhere: tick, exclamation mark, cross. */
function drawSign(
  context: CanvasRenderingContext2D,
  health: Health,
  x: number,
  y: number,
  size: number,
  palette: Palette,
): void {
  if (health === "none") return;
  const lines: Readonly<Record<"good" | "warn" | "bad", readonly (readonly [number, number])[][]>> =
    {
      good: [
        [
          [-1, 0],
          [-0.3, 0.8],
          [1, -0.8],
        ],
      ],
      warn: [
        [
          [0, -1],
          [0, 0.3],
        ],
        [
          [0, 0.8],
          [0, 1],
        ],
      ],
      bad: [
        [
          [-0.8, -0.8],
          [0.8, 0.8],
        ],
        [
          [0.8, -0.8],
          [-0.8, 0.8],
        ],
      ],
    };
  context.strokeStyle = palette.health[health];
  context.lineWidth = Math.max(1.5, size * 0.35);
  context.beginPath();
  for (const line of lines[health]) {
    for (const [at, [dx, dy]] of line.entries()) {
      if (at === 0) context.moveTo(x + dx * size, y + dy * size);
      else context.lineTo(x + dx * size, y + dy * size);
    }
  }
  context.stroke();
}

function drawLabels(
  context: CanvasRenderingContext2D,
  scene: Scene,
  near: ReadonlySet<string> | null,
): void {
  const { graph, layout, camera, palette, selected, hovered } = scene;
  const isSmall = graph.nodes.length <= ALWAYS_LABELLED;
  const isRoomy = isSmall || camera.scale >= LABEL_SCALE;
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "center";
  context.textBaseline = "top";
  context.lineJoin = "round";
  for (const node of graph.nodes) {
    const isNear = near?.has(node.id) ?? false;
    const isChosen = node.id === selected || node.id === hovered;
    const isNamed = isChosen || isSmall || (near === null ? isRoomy : isNear && near.size < 40);
    const place = layout.place(node.id);
    if (!isNamed || place === undefined) continue;
    context.globalAlpha = near === null || isNear || isChosen ? 1 : 0.45;
    drawLabel(context, place, node, camera, palette);
  }
  context.globalAlpha = 1;
}

function drawLabel(
  context: CanvasRenderingContext2D,
  place: Place,
  node: GraphNode,
  camera: Camera,
  palette: Palette,
): void {
  const x = place.x * camera.scale + camera.dx;
  const y = place.y * camera.scale + camera.dy + nodeRadius(node, camera) + 4;
  const short = node.id.slice(node.id.indexOf("/") + 1);
  // The ground around the letters keeps them readable over edges.
  context.strokeStyle = palette.ground;
  context.lineWidth = 3;
  context.strokeText(short, x, y);
  context.fillStyle = palette.ink;
  context.fillText(short, x, y);
}
