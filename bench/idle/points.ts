/** Numbers of containers at which memory is read, so that a line can be drawn: 1, a fifth, a half, all. */
export function idlePoints(containers: number): number[] {
  const points = [1, Math.ceil(containers / 5), Math.ceil(containers / 2), containers];
  return [...new Set(points)].sort((a, b) => a - b);
}

/** The points up to the most that fits, which becomes the last one. */
export function pointsThatFit(points: readonly number[], most: number): number[] {
  const last = points.at(-1) ?? 0;
  if (last <= most) return [...points];
  return [...points.filter((point) => point < most), Math.max(1, most)];
}
