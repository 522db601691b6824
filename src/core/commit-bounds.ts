/** Upper bounds of the buckets of a commit's duration, in seconds: a sync of a disk, or a round of a quorum. */
export const COMMIT_BOUNDS_S: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
];
