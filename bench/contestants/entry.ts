import type { Between, Mode, Peer, Target } from "../model.ts";
import type { Crew } from "./crew.ts";

/** Somebody who is to be started. */
export interface Entry {
  readonly name: string;
  readonly peer: Peer | null;
  readonly mode: Mode;
  readonly between: Between;
  readonly version: string;
  readonly warmUpSeconds: number;
  /** Starts its processes; resolves before they answer. */
  start(crew: Crew): Promise<Started>;
}

export interface Started {
  /** One for each service, in their order. */
  readonly targets: readonly Target[];
  /** Ports on which proxies accept TLS connections of other proxies. */
  readonly tlsPorts: readonly number[];
  /** After every service has answered: rejects where that was not on the way that is to be measured. */
  readonly verify?: () => Promise<void>;
  /** What it is called by what was seen of it, where that is not known before. */
  readonly observe?: () => Promise<Pick<Entry, "name" | "between">>;
}

/** Programs of C and C++ need connections and no more; V8 compiles what is hot. */
export const WARM_UP_SECONDS = { hostmesh: 6, others: 1 };
