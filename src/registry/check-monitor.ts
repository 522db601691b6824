import type { Clock } from "../core/clock.ts";
import type { Health } from "../core/model.ts";
import type { Catalog } from "./catalog.ts";
import { ALONE, type Leadership, OWN_BEATS, type SharedBeats } from "./leadership.ts";
import type { Log } from "./log.ts";
import { removeEndpoint, setCheck } from "./plan-endpoint.ts";
import type { StoredCheck } from "./records.ts";
import { RegistryError } from "./registry-error.ts";
import type { Timers } from "./timers.ts";
import type { Writer } from "./writer.ts";

export interface CheckMonitorOptions {
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** Of several registries one lets time pass for checks. */
  readonly leadership?: Leadership;
  readonly beats?: SharedBeats;
}

interface Watched {
  check: StoredCheck;
  /** When the heartbeat is overdue; a heartbeat moves it without touching the timer. */
  deadlineMs: number;
  cancelTtl: (() => void) | null;
  cancelReap: (() => void) | null;
}

/**
 * What time does to checks: a TTL without a heartbeat turns critical, and an endpoint that was critical
 * for its `deregisterMs` is removed. Both spans begin anew when the registry starts, and when another one leads: each
 * registry takes heartbeats, and tells the leader.
 */
export class CheckMonitor {
  readonly #options: CheckMonitorOptions;
  readonly #leadership: Leadership;
  readonly #beats: SharedBeats;
  readonly #watched = new Map<string, Watched>();
  readonly #unsubscribes: readonly (() => void)[];
  /** Ends the hearing of other registries' heartbeats; null: this one does not lead. */
  #unfollow: (() => void) | null = null;

  constructor(options: CheckMonitorOptions) {
    this.#options = options;
    const { catalog, leadership = ALONE, beats = OWN_BEATS } = options;
    this.#leadership = leadership;
    this.#beats = beats;
    for (const { key, value } of catalog.all("check")) this.#watch(key, value);
    this.#unsubscribes = [
      catalog.subscribe(({ changes }) => {
        for (const change of changes) {
          if (change.kind !== "check") continue;
          if (change.value === null) this.#forget(change.key);
          else this.#watch(change.key, change.value);
        }
      }),
      leadership.subscribe((isLeader) => (isLeader ? this.#lead() : this.#rest())),
    ];
    if (leadership.isLeader()) this.#lead();
  }

  /**
   * A status from a heartbeat or a daemon. False: there is no such check. Only a change is written. Rejects with 503 where
   * it could not be, or where the leader does not hear of a heartbeat.
   */
  async report(key: string, status: Health, output: string): Promise<boolean> {
    const watched = this.#watched.get(key);
    if (watched === undefined) return false;
    this.#beat(watched);
    if (watched.check.spec.kind === "ttl") await this.#pass(key);
    if (watched.check.status === status) return true;
    const { result } = await this.#options.writer.run((draft) =>
      setCheck(draft, key, status, output),
    );
    return result;
  }

  /** A heartbeat that the leader does not hear of must not be acknowledged: another registry may reach it. */
  async #pass(key: string): Promise<void> {
    if (this.#leadership.isLeader()) return;
    await this.#beats.tell(key).catch((cause: unknown) => {
      const reason = "the heartbeat did not reach the leading registry";
      throw new RegistryError(503, reason, undefined, cause);
    });
  }

  close(): void {
    for (const unsubscribe of this.#unsubscribes) unsubscribe();
    this.#unfollow?.();
    for (const key of [...this.#watched.keys()]) this.#forget(key);
  }

  /** Time begins to count here, as at a start. */
  #lead(): void {
    this.#unfollow?.();
    this.#unfollow = this.#beats.follow({
      heard: (key) => {
        const watched = this.#watched.get(key);
        if (watched !== undefined) this.#beat(watched);
      },
      missed: () => {
        for (const watched of this.#watched.values()) this.#beat(watched);
      },
    });
    for (const [key, { check }] of [...this.#watched]) {
      this.#forget(key);
      this.#watch(key, check);
    }
  }

  #rest(): void {
    this.#unfollow?.();
    this.#unfollow = null;
    for (const watched of this.#watched.values()) {
      watched.cancelTtl?.();
      watched.cancelReap?.();
      watched.cancelTtl = null;
      watched.cancelReap = null;
    }
  }

  #beat(watched: Watched): void {
    const { spec } = watched.check;
    if (spec.kind !== "ttl") return;
    watched.deadlineMs = this.#options.clock.now() + spec.ttlMs + this.#beats.travelMs;
  }

  #watch(key: string, check: StoredCheck): void {
    const watched = this.#watched.get(key) ?? {
      check,
      deadlineMs: 0,
      cancelTtl: null,
      cancelReap: null,
    };
    this.#watched.set(key, watched);
    const wasCritical = watched.check.status === "critical" && watched.cancelReap !== null;
    const sameSpan = watched.check.deregisterMs === check.deregisterMs;
    watched.check = check;
    this.#beat(watched);
    watched.cancelTtl?.();
    watched.cancelTtl = null;
    if (this.#unfollow === null) return;
    if (check.spec.kind === "ttl" && check.status !== "critical") this.#armTtl(key, watched);
    // A critical span that goes on keeps its timer, so that registering again does not prolong it.
    if (check.status === "critical" && wasCritical && sameSpan) return;
    watched.cancelReap?.();
    watched.cancelReap = null;
    if (check.status === "critical" && check.deregisterMs > 0) {
      watched.cancelReap = this.#options.timers.after(check.deregisterMs, () => this.#reap(key));
    }
  }

  #armTtl(key: string, watched: Watched): void {
    const remainingMs = watched.deadlineMs - this.#options.clock.now();
    watched.cancelTtl = this.#options.timers.after(remainingMs, () => {
      if (this.#overdue(key)) this.#expire(key);
      else this.#armTtl(key, watched);
    });
  }

  #overdue(key: string): boolean {
    const watched = this.#watched.get(key);
    return watched !== undefined && this.#options.clock.now() >= watched.deadlineMs;
  }

  #expire(key: string): void {
    const { writer, log } = this.#options;
    writer
      .run((draft) => {
        // Who leads no longer has not heard all heartbeats, and its successor counts anew.
        if (!this.#leadership.isLeader() || !this.#overdue(key)) return false;
        return setCheck(draft, key, "critical", "TTL expired");
      })
      .then(({ result }) => {
        if (result) log.info("a heartbeat is overdue, the check is critical", { check: key });
        else this.#rearm(key);
      })
      .catch((error: unknown) => {
        log.error("an overdue check could not be recorded", { check: key, error });
        // The heartbeat is still missing: try again after another span.
        const watched = this.#watched.get(key);
        if (watched !== undefined) this.#beat(watched);
        this.#rearm(key);
      });
  }

  #rearm(key: string): void {
    const watched = this.#watched.get(key);
    const isDue = watched?.check.spec.kind === "ttl" && watched.check.status !== "critical";
    if (!isDue || this.#unfollow === null) return;
    watched.cancelTtl?.();
    if (this.#overdue(key)) this.#beat(watched);
    this.#armTtl(key, watched);
  }

  #reap(key: string): void {
    const { writer, log } = this.#options;
    writer
      .run((draft) => {
        const check = draft.get("check", key);
        if (check?.status !== "critical" || !this.#leadership.isLeader()) return null;
        return removeEndpoint(draft, check.endpoint) ? check.endpoint : null;
      })
      .then(({ result }) => {
        if (result !== null)
          log.info("endpoint removed, critical for too long", { endpoint: result });
      })
      .catch((error: unknown) =>
        log.error("an endpoint could not be removed", { check: key, error }),
      );
  }

  #forget(key: string): void {
    const watched = this.#watched.get(key);
    watched?.cancelTtl?.();
    watched?.cancelReap?.();
    this.#watched.delete(key);
  }
}
