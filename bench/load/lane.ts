/** What carries one request at a time: a connection of HTTP/1.1 or TCP, or one of the streams of an HTTP/2 connection. */
export interface Lane {
  /** Whose requests it carries. */
  readonly group: number;
  /** When the request under way should have been sent, in milliseconds of `performance.now()`. */
  readonly intended: number;
  /** When it was sent, the connection opened, or else when it became idle. */
  since: number;
  readonly isIdle: boolean;
  /** Sends a request. To be called only while it is idle. */
  send(request: string, intended: number, now: number): void;
}

/** A connection as those see it who keep it open. */
export interface Carrier {
  readonly group: number;
  /** Has it carried an answer? */
  readonly hasServed: boolean;
  /** What the system said when it could not be opened; else empty. */
  readonly reason: string;
  /** All that can carry a request, whether one does or not. */
  readonly lanes: readonly Lane[];
  /** Gives up what has waited since before `late`. */
  giveUpLate(late: number): void;
  /** Ends it without telling anybody. */
  discard(): void;
}

/** Who is told what happens on connections. */
export interface CarrierOwner {
  /** It stands, and its lanes take requests. */
  onOpen(carrier: Carrier): void;
  /** The answer is whole and right. `isReady`: the lane takes a further request. */
  onAnswer(lane: Lane, isReady: boolean): void;
  /** The request of a lane failed and nothing else; it may carry others after a pause. */
  onLaneFailed(lane: Lane, kind: string): void;
  /**
   * It is gone, or takes no further request, and nothing is told after this. `kind`: the error of the requests under way
   * (`asked`) or of the opening; null: there were none, and servers may end it at any time.
   */
  onGone(carrier: Carrier, kind: string | null, asked: readonly Lane[]): void;
}
