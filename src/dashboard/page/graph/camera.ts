import type { Place } from "./layout.ts";

/** Part of the picture that is seen: a point of it is drawn at `x * scale + dx`. */
export interface Camera {
  readonly scale: number;
  readonly dx: number;
  readonly dy: number;
}

const SMALLEST = 0.05;
const LARGEST = 3;
const MARGIN = 56;

/** Shows all places, none larger than life. */
export function fit(places: Iterable<Place>, width: number, height: number): Camera {
  let [left, right, top, bottom] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const { x, y } of places) {
    left = Math.min(left, x);
    right = Math.max(right, x);
    top = Math.min(top, y);
    bottom = Math.max(bottom, y);
  }
  if (left === Infinity) return { scale: 1, dx: width / 2, dy: height / 2 };
  const across = (width - 2 * MARGIN) / Math.max(1, right - left);
  const down = (height - 2 * MARGIN) / Math.max(1, bottom - top);
  const scale = clamp(Math.min(1.25, across, down));
  return {
    scale,
    dx: width / 2 - ((left + right) / 2) * scale,
    dy: height / 2 - ((top + bottom) / 2) * scale,
  };
}

/** Zooms about a point of the screen, which stays where it is. */
export function zoom({ scale, dx, dy }: Camera, factor: number, x: number, y: number): Camera {
  const next = clamp(scale * factor);
  const ratio = next / scale;
  return { scale: next, dx: x - (x - dx) * ratio, dy: y - (y - dy) * ratio };
}

/** Moves a place into what is seen, if it is not. */
export function reveal(camera: Camera, place: Place, width: number, height: number): Camera {
  const x = place.x * camera.scale + camera.dx;
  const y = place.y * camera.scale + camera.dy;
  const isSeen = x > MARGIN && y > MARGIN && x < width - MARGIN && y < height - MARGIN;
  if (isSeen) return camera;
  return { ...camera, dx: camera.dx + width / 2 - x, dy: camera.dy + height / 2 - y };
}

const clamp = (scale: number) => Math.min(LARGEST, Math.max(SMALLEST, scale));
