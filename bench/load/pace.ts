import type { Lane } from "./lane.ts";

/** Decides when requests are sent. */
export interface Pace {
  /** A connection can take a request. */
  ready(connection: Lane, now: number): void;
  start(now: number): void;
  /** Sends nothing more. */
  stop(): void;
}
