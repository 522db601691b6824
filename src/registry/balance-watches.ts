import type { Clock } from "../core/clock.ts";
import type { Log } from "./log.ts";
import type { Timers } from "./timers.ts";

const LOOK_MS = 30_000;
/** Of its daemons a registry sends away so many at a time, at least one. */
const SHARE_PER_LOOK = 0.1;
/** A daemon that came back knows no other registry, and is left alone for so long. */
const SPARED_MS = 3_600_000;

export interface BalanceWatchesOptions {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Hosts that watch here. */
  own(): readonly string[];
  /** How many watch each of the other registries. */
  others(): readonly number[];
  /** Asks the daemon of a host to go to another registry. */
  dismiss(host: string, reason: string): void;
}

/**
 * Long-lived watches would all stay with the registry that was there first. One that has more than its share of them asks
 * some to go, few at a time. The result ends it.
 */
export function balanceWatches(options: BalanceWatchesOptions): () => void {
  const { clock, timers, log, own, others, dismiss } = options;
  const sentAway = new Map<string, number>();
  let cancel: () => void = () => undefined;
  const look = () => {
    const now = clock.now();
    for (const [host, atMs] of sentAway) if (now - atMs > SPARED_MS) sentAway.delete(host);
    const watching = own();
    const elsewhere = others();
    const total = elsewhere.reduce((sum, count) => sum + count, watching.length);
    const surplus = watching.length - Math.ceil(total / (elsewhere.length + 1));
    if (surplus <= 0) return;
    const count = Math.min(surplus, Math.max(1, Math.floor(watching.length * SHARE_PER_LOOK)));
    const chosen = watching.filter((host) => !sentAway.has(host)).slice(0, count);
    for (const host of chosen) {
      sentAway.set(host, now);
      dismiss(host, "another registry has fewer watches");
    }
    if (chosen.length > 0)
      log.info("daemons are sent to other registries", { hosts: chosen.length });
  };
  const wait = () => {
    cancel = timers.after(LOOK_MS, () => {
      look();
      wait();
    });
  };
  wait();
  return () => cancel();
}
