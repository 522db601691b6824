/** Something that waits for its source's turn. */
export interface TurnWaiter {
  /** Its turn has come. Returns what it costs; 0: it no longer wants it. */
  onTurn(): number;
}

/**
 * What one source (a container, or a caller of another host) has of a worker: its share of each turn of the event loop,
 * and of the memory in which bytes wait. One object for all connections of the source. Costs are in requests.
 */
export interface Share {
  /** Takes a new piece of work on, unless this turn's share is used up or others of the source wait already. */
  tryBegin(cost: number): boolean;
  /** Charges work that is done already; false: the share of this turn is used up. */
  spend(cost: number): boolean;
  /** Calls `one` once when it is the source's turn again. */
  wait(one: TurnWaiter): void;
  /** Counts bytes that a buffer keeps; negative where they are gone. */
  keep(bytes: number): void;
  /** Does the source keep as many bytes as it may? */
  readonly full: boolean;
  /** Calls `one` once when it is not full any more. */
  waitForRoom(one: TurnWaiter): void;
}
