import type { Share, TurnWaiter } from "../../../core/share.ts";
import { WaitLine } from "./wait-line.ts";

export interface FairQueueDeps {
  /** Work, in requests, that sources which want more than their share are given together in one turn. */
  readonly turnRequests: number;
  /** Calls the action at the end of this turn of the event loop (`setImmediate`). */
  readonly defer: (action: () => void) => void;
  /** Calls the action a moment later; nothing is kept alive by it. */
  readonly later: (action: () => void) => void;
  /** Somebody has to wait for the next turn. */
  readonly onWait: () => void;
}

/** What a source may keep in buffers, counted over all workers. */
export interface BufferQuota {
  readonly full: boolean;
  keep(bytes: number): void;
}

/** Below this part of a turn nothing is started that would have to be cleared away at its end. */
const QUIET = 1 / 4;

/** Turns in which one source was alone, about a second of a busy worker. Stopping a stream costs system calls. */
const LONELY_TURNS = 4_096;

/**
 * Divides the turns of one worker's event loop among the sources of its work: deficit round robin (Shreedhar and
 * Varghese, 1995) with the turn as the round. A source takes on work freely until it has used a turn's worth; what comes
 * beyond that waits in its own line. At the end of the turn every source with a line gets an equal part of the next
 * one, less what it has overdrawn. So a turn stays short whatever one source sends, and whoever sends little never waits
 * in a line. Nothing is held back while there is time left: turns follow each other at once.
 *
 * What the loop does for a source that stays within a quarter of a turn costs two additions, and no timer.
 */
export class FairQueue {
  readonly #deps: FairQueueDeps;
  readonly #flows = new Map<string, Flow>();
  /** Sources with a line, in the order in which they are served. */
  #lined: Flow[] = [];
  #isArmed = false;
  /** Number of this turn, as far as anybody counts. */
  turn = 0;
  /** Whose work was done last, and in which turn that of another came before it. */
  #last: Flow | null = null;
  #switchedIn = Number.NEGATIVE_INFINITY;
  /** A source's part of a turn while others have lines too. */
  part: number;

  constructor(deps: FairQueueDeps) {
    this.#deps = deps;
    this.part = deps.turnRequests;
  }

  get turnRequests(): number {
    return this.#deps.turnRequests;
  }

  /** Sources that have connections. */
  get size(): number {
    return this.#flows.size;
  }

  /** The source of one more connection. `close` it as often. */
  open(key: string, quotaOf: () => BufferQuota | null): Flow {
    let flow = this.#flows.get(key);
    if (flow === undefined) {
      flow = new Flow(this, quotaOf());
      this.#flows.set(key, flow);
    }
    flow.connections += 1;
    return flow;
  }

  close(key: string): void {
    const flow = this.#flows.get(key);
    if (flow === undefined) return;
    flow.connections -= 1;
    if (flow.connections > 0) return;
    this.#flows.delete(key);
    // Under its name it may come back, and is nobody else then.
    if (this.#last === flow) this.#last = null;
  }

  /** The source does something. */
  note(flow: Flow): void {
    if (this.#last === flow) return;
    if (this.#last !== null) this.#switchedIn = this.turn;
    this.#last = flow;
  }

  /** Has nobody else done anything for long? Then there is nobody for whom a stream would have to stop. */
  isAlone(flow: Flow): boolean {
    return this.#last === flow && this.turn - this.#switchedIn > LONELY_TURNS;
  }

  /** Has the turn counted at its end. */
  arm(): void {
    if (this.#isArmed) return;
    this.#isArmed = true;
    this.#deps.defer(this.#onTurnEnd);
  }

  /** The source has a line from now on. */
  join(flow: Flow): void {
    this.#lined.push(flow);
    this.arm();
  }

  onWait(): void {
    this.#deps.onWait();
  }

  later(action: () => void): void {
    this.#deps.later(action);
  }

  readonly #onTurnEnd = (): void => {
    this.#isArmed = false;
    this.turn += 1;
    const flows = this.#lined;
    this.part = this.turnRequests / Math.max(1, flows.length);
    if (flows.length === 0) return;
    this.#lined = [];
    for (const flow of flows) flow.serve();
    // Who was first comes last: what a source sets off at the end of a turn is done before what others set off.
    const first = flows.shift() as Flow;
    flows.push(first);
    const lined = flows.filter((flow) => flow.isLined);
    this.#lined = lined.concat(this.#lined.filter((flow) => !lined.includes(flow)));
    if (this.#lined.length > 0) this.arm();
  };
}

/** One source of work. */
export class Flow implements Share {
  connections = 0;
  /** Is there a line of this source? */
  isLined = false;
  readonly #queue: FairQueue;
  readonly #quota: BufferQuota | null;
  readonly #line = new WaitLine();
  /** Those that wait until less is kept. */
  readonly #forRoom = new WaitLine();
  #isPolling = false;
  #used = 0;
  #turn: number;

  constructor(queue: FairQueue, quota: BufferQuota | null) {
    this.#queue = queue;
    this.#quota = quota;
    this.#turn = queue.turn;
  }

  tryBegin(cost: number): boolean {
    this.#catchUp();
    if (this.isLined || this.#used >= this.#queue.turnRequests) return false;
    this.#charge(cost);
    return true;
  }

  spend(cost: number): boolean {
    this.#catchUp();
    this.#charge(cost);
    if (this.#used < (this.isLined ? this.#queue.part : this.#queue.turnRequests)) return true;
    return this.#queue.isAlone(this);
  }

  wait(one: TurnWaiter): void {
    this.#line.push(one);
    this.#queue.onWait();
    if (this.isLined) return;
    this.isLined = true;
    this.#queue.join(this);
  }

  /** It is this source's turn: the first of its line go on, as far as its part reaches. */
  serve(): void {
    this.#catchUp();
    for (let left = this.#line.length; left > 0 && this.#used < this.#queue.part; left--) {
      const cost = this.#line.shift()?.onTurn() ?? 0;
      if (cost > 0) this.#charge(cost);
    }
    this.isLined = this.#line.length > 0;
  }

  #charge(cost: number): void {
    this.#used += cost;
    this.#queue.note(this);
    if (this.#used >= this.#queue.turnRequests * QUIET) this.#queue.arm();
  }

  /** Each turn that has passed pays for a part of what was used. */
  #catchUp(): void {
    const { turn, part } = this.#queue;
    if (this.#turn === turn) return;
    const used = this.#used - part * (turn - this.#turn);
    this.#used = used > 0 ? used : 0;
    this.#turn = turn;
  }

  get full(): boolean {
    return this.#quota?.full ?? false;
  }

  keep(bytes: number): void {
    this.#quota?.keep(bytes);
    if (bytes < 0 && this.#forRoom.length > 0) this.#letIn();
  }

  waitForRoom(one: TurnWaiter): void {
    this.#forRoom.push(one);
    this.#poll();
  }

  /** Room may also be made in another worker, which tells nobody. */
  #poll(): void {
    if (this.#isPolling) return;
    this.#isPolling = true;
    this.#queue.later(() => {
      this.#isPolling = false;
      this.#letIn();
      if (this.#forRoom.length > 0) this.#poll();
    });
  }

  #letIn(): void {
    while (!this.full) {
      const one = this.#forRoom.shift();
      if (one === undefined) return;
      this.wait(one);
    }
  }
}
