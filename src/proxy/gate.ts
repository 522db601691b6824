import type { Sleeper } from "../core/alarms.ts";
import type { RequestFacts } from "../core/facts.ts";
import type { TurnWaiter } from "../core/share.ts";
import type { Downstream } from "../http/downstream.ts";
import type { Plane } from "./plane.ts";
import type { RequestState } from "./request-state.ts";

export interface GateOwner {
  /** The request that `enter` held back goes on. */
  onTurnCome(): void;
  /** The request that `delay` held back goes on. */
  onDelayOver(): void;
}

/** Holds a connection's request back: until it is its source's turn, or for the delay that a fault asks for. */
export class Gate implements TurnWaiter, Sleeper {
  readonly #plane: Plane;
  readonly #client: Downstream;
  readonly #state: RequestState;
  readonly #facts: RequestFacts;
  readonly #owner: GateOwner;
  #held: "turn" | "delay" | null = null;

  constructor(
    plane: Plane,
    client: Downstream,
    { state, facts }: { readonly state: RequestState; readonly facts: RequestFacts },
    owner: GateOwner,
  ) {
    this.#plane = plane;
    this.#client = client;
    this.#state = state;
    this.#facts = facts;
    this.#owner = owner;
  }

  get isShut(): boolean {
    return this.#held !== null;
  }

  /** May the request begin at once? If not, its source has had its share of this turn. */
  enter(): boolean {
    const { share } = this.#client.carrier;
    if (share === null || share.tryBegin(1)) return true;
    this.#shut("turn");
    share.wait(this);
    return false;
  }

  delay(delayMs: number): void {
    this.#shut("delay");
    this.#plane.alarms.set(this, this.#plane.clock.now() + delayMs);
  }

  #shut(why: "turn" | "delay"): void {
    this.#held = why;
    if (!this.#state.complete) this.#client.carrier.stopReading();
  }

  onTurn(): number {
    if (this.#held !== "turn") return 0;
    this.#open();
    this.#facts.queueMs += this.#plane.clock.now() - this.#facts.startMs;
    this.#owner.onTurnCome();
    return 1;
  }

  onAlarm(): void {
    if (this.#held !== "delay") return;
    this.#open();
    this.#owner.onDelayOver();
  }

  #open(): void {
    this.#held = null;
    if (!this.#state.complete) this.#client.carrier.resumeReading();
  }

  /** The request is over, wherever it was. */
  reset(): void {
    this.#held = null;
  }
}
