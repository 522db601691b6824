import type { LoadConnection } from "./load-connection.ts";

/** Decides when requests are sent. */
export interface Pace {
  /** A connection can take a request. */
  ready(connection: LoadConnection, now: number): void;
  start(now: number): void;
  /** Sends nothing more. */
  stop(): void;
}
