import type { Lane } from "./lane.ts";
import type { Pace } from "./pace.ts";
import type { Requests } from "./requests.ts";

/** Every connection asks again as soon as its answer is whole. */
export class ClosedLoop implements Pace {
  readonly #requests: Requests;
  readonly #isShared: boolean;
  /** Connections that were open before the start. */
  #early: Lane[] = [];
  #isRunning = false;
  #budget: number;

  /** `isShared`: each connection may ask any service; else the one of its group. `budget`: requests to send at most. */
  constructor(requests: Requests, isShared: boolean, budget = Number.POSITIVE_INFINITY) {
    this.#requests = requests;
    this.#isShared = isShared;
    this.#budget = budget;
  }

  start(now: number): void {
    this.#isRunning = true;
    for (const connection of this.#early) if (connection.isIdle) this.ready(connection, now);
    this.#early = [];
  }

  stop(): void {
    this.#isRunning = false;
  }

  ready(connection: Lane, now: number): void {
    if (!this.#isRunning) {
      this.#early.push(connection);
      return;
    }
    if (this.#budget <= 0) return;
    this.#budget--;
    connection.send(this.#requests.next(this.#isShared ? null : connection.group), now, now);
  }
}
