/** What the generator and its ticking thread share. */
export interface TickerMemory {
  /** One of the states below; a change wakes the thread. */
  readonly state: Int32Array<SharedArrayBuffer>;
  /** 1: the generator has seen the last tick. */
  readonly isSeen: Int32Array<SharedArrayBuffer>;
  /** Time of the first tick (monotonic) and from tick to tick, in milliseconds. */
  readonly schedule: Float64Array<SharedArrayBuffer>;
}

export const WAITING = 0;
export const RUNNING = 1;
export const STOPPED = 2;

export function tickerMemory(): TickerMemory {
  return {
    state: new Int32Array(new SharedArrayBuffer(4)),
    isSeen: new Int32Array(new SharedArrayBuffer(4)),
    schedule: new Float64Array(new SharedArrayBuffer(16)),
  };
}
