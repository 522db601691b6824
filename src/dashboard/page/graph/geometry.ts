import type { Camera } from "./camera.ts";
import type { Layout } from "./layout.ts";
import type { Graph, GraphEdge, GraphNode } from "./model.ts";

/** A quadratic curve on the screen, from the rim of one node to that of another. */
export interface Curve {
  readonly x1: number;
  readonly y1: number;
  readonly cx: number;
  readonly cy: number;
  readonly x2: number;
  readonly y2: number;
}

const GAP = 15;

/** By the logarithm of the rate, 8 to 18 at life size. */
export function nodeRadius({ rps }: Pick<GraphNode, "rps">, { scale }: Camera): number {
  return Math.min(18, 9 + 2 * Math.log10(1 + rps)) * Math.min(1.2, Math.max(0.3, scale));
}

/** Edges bend to one side, so that there and back are two; null: an end has no place. */
export function curveOf(edge: GraphEdge, layout: Layout, { scale, dx, dy }: Camera): Curve | null {
  const from = layout.place(edge.from);
  const to = layout.place(edge.to);
  if (from === undefined || to === undefined) return null;
  const [ax, ay] = [from.x * scale + dx, from.y * scale + dy];
  const [bx, by] = [to.x * scale + dx, to.y * scale + dy];
  if (from === to)
    return { x1: ax - 8 * scale, y1: ay, cx: ax, cy: ay - 60 * scale, x2: ax + 8 * scale, y2: ay };
  const length = Math.hypot(bx - ax, by - ay) || 1;
  const bend = Math.min(24, length * 0.1);
  const cx = (ax + bx) / 2 - ((by - ay) / length) * bend;
  const cy = (ay + by) / 2 + ((bx - ax) / length) * bend;
  const gap = GAP * Math.min(1.2, Math.max(0.3, scale));
  const [x1, y1] = towards(ax, ay, cx, cy, gap);
  const [x2, y2] = towards(bx, by, cx, cy, gap + 3);
  return { x1, y1, cx, cy, x2, y2 };
}

function towards(
  x: number,
  y: number,
  tx: number,
  ty: number,
  by: number,
): readonly [number, number] {
  const length = Math.hypot(tx - x, ty - y) || 1;
  const part = Math.min(by, length * 0.4) / length;
  return [x + (tx - x) * part, y + (ty - y) * part];
}

/** The point of a curve at a part of it, 0 to 1. */
export function pointAt(
  { x1, y1, cx, cy, x2, y2 }: Curve,
  part: number,
): readonly [number, number] {
  const rest = 1 - part;
  const of = (a: number, c: number, b: number) =>
    rest * rest * a + 2 * rest * part * c + part * part * b;
  return [of(x1, cx, x2), of(y1, cy, y2)];
}

/** What is at a point of the screen: a node, else an edge, else null. */
export function hit(
  graph: Graph,
  layout: Layout,
  camera: Camera,
  x: number,
  y: number,
): string | null {
  for (const node of graph.nodes) {
    const place = layout.place(node.id);
    if (place === undefined) continue;
    const distance = Math.hypot(
      place.x * camera.scale + camera.dx - x,
      place.y * camera.scale + camera.dy - y,
    );
    // Fingers are wider than pixels.
    if (distance <= Math.max(12, nodeRadius(node, camera) + 3)) return node.id;
  }
  for (const edge of graph.edges) {
    const curve = curveOf(edge, layout, camera);
    if (curve !== null && isNear(curve, x, y)) return edge.id;
  }
  return null;
}

const NEAR = 6;

function isNear(curve: Curve, x: number, y: number): boolean {
  const { x1, y1, cx, cy, x2, y2 } = curve;
  if (x < Math.min(x1, cx, x2) - NEAR || x > Math.max(x1, cx, x2) + NEAR) return false;
  if (y < Math.min(y1, cy, y2) - NEAR || y > Math.max(y1, cy, y2) + NEAR) return false;
  for (let step = 0; step <= 24; step++) {
    const [px, py] = pointAt(curve, step / 24);
    if (Math.hypot(px - x, py - y) <= NEAR) return true;
  }
  return false;
}

/** The nearest node in a direction, for the arrow keys; null: there is none. */
export function nearestNode(
  graph: Graph,
  layout: Layout,
  from: string,
  [dx, dy]: readonly [number, number],
): string | null {
  const start = layout.place(from);
  if (start === undefined) return null;
  let best: string | null = null;
  let least = Infinity;
  for (const { id } of graph.nodes) {
    const place = layout.place(id);
    if (place === undefined || id === from) continue;
    const along = (place.x - start.x) * dx + (place.y - start.y) * dy;
    const aside = Math.abs((place.x - start.x) * dy) + Math.abs((place.y - start.y) * dx);
    // What lies well to the side is not in that direction.
    const cost = along + 2 * aside;
    if (along <= 1 || aside > 2 * along || cost >= least) continue;
    best = id;
    least = cost;
  }
  return best;
}
