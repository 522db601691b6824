/** What `link-client.ts` says of calls that were made at once. */
export interface CallReport {
  /** How many of each kind have come to a good end. */
  readonly done: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  readonly ms: number;
}

/** Of calls without end, since the last report. */
export interface LoopReport {
  /** How many of each kind have come to a good end. */
  readonly done: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
  /** Of those calls whose answers say it. */
  readonly servers: Readonly<Record<string, number>>;
}

/** How a call ended that was held. */
export interface Fate {
  readonly kind: string;
  readonly how: string;
  /** Of `machineMs`. */
  readonly atMs: number;
}

export interface SmallReport {
  readonly slowestMs: Readonly<Record<string, number>>;
  readonly failures: readonly string[];
}
