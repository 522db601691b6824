/** Envoy's default bounds of histograms, which Istio uses for times in ms and for sizes in bytes. */
export const ISTIO_BOUNDS: readonly number[] = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
  600_000, 1_800_000, 3_600_000,
];

/** Index of the bucket that a value belongs to; `ISTIO_BOUNDS.length` is `+Inf`. */
export function bucketOf(value: number): number {
  let index = 0;
  while (index < ISTIO_BOUNDS.length && value > (ISTIO_BOUNDS[index] ?? 0)) index += 1;
  return index;
}
