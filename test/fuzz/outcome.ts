/** A message without what differs from input to input: numbers and what is quoted. */
export function kindOf(message: string): string {
  return message
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/[0-9]+/g, "0")
    .slice(0, 120);
}

/** A count to the nearest power of two: more of the same is nothing new, much more is. */
export function scaleOf(count: number): number {
  return count === 0 ? 0 : 1 + Math.floor(Math.log2(count));
}
