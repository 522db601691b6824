import type { Share } from "../../core/share.ts";
import type { Carrier, ConnHandler, Feeder } from "../carrier.ts";
import { NOBODY } from "../nobody.ts";
import { Pacer } from "../pacer.ts";
import { CANCEL, CONNECT_ERROR, INTERNAL_ERROR, NO_ERROR } from "./codes.ts";
import type { Stream, StreamHandler } from "./stream.ts";

const NOTHING = Buffer.alloc(0);

/**
 * The content of a stream as bytes both ways: what is read here and not taken there stays counted against the stream's
 * window, and so the peer of this stream waits while those of others go on.
 *
 * While a message is exchanged its owner hears of what comes, and tells by `read` what it was; a tunnel's owner sets
 * `handler` and makes this object the stream's own handler (`beginTunnel`). One object may serve one stream after the other.
 */
export class StreamCarrier implements Carrier, StreamHandler {
  handler: ConnHandler = NOBODY;
  /** Is it a connection of TCP, both of whose ends hear of it when it breaks (RFC 9113 section 8.5)? */
  isTcp = false;
  trailers = "";
  /** Does what is taken next end our side? */
  endsWithNext = false;
  #stream: Stream | null = null;
  #isHeld = false;
  #isStopped = false;
  #pacer: Pacer | null = null;
  /** Who waits until all is sent. */
  #feeder: Feeder | null = null;
  #isTunnel = false;
  #finSeen = false;
  #finSent = false;
  #gone = true;
  #share: Share | null;
  /** What came while reading was stopped, at most a window of it; `#finWaits`: and then the end. */
  #kept: Buffer[] = [];
  #finWaits = false;
  readonly #onBreak: () => void;

  /** `onBreak`: it was broken off, outside of a tunnel. */
  constructor(share: Share | null, onBreak: () => void = ignore) {
    this.#share = share;
    this.#onBreak = onBreak;
  }

  get share(): Share | null {
    return this.#share;
  }

  set share(share: Share | null) {
    this.#share = share;
    if (this.#stream !== null) this.#stream.share = share;
  }

  /** Serves this stream from now on. */
  bind(stream: Stream): void {
    this.#stream = stream;
    stream.share = this.share;
    this.#gone = false;
    this.#isTunnel = false;
    this.#finSeen = false;
    this.#finSent = false;
    this.endsWithNext = false;
    this.trailers = "";
    this.#letGo();
  }

  /** Has nothing to do with its stream any more, which goes on by itself. */
  unbind(): void {
    this.#letGo();
    this.#giveCredit();
    this.#stream = null;
    this.#gone = true;
    this.#feeder?.release();
    this.#feeder = null;
  }

  #letGo(): void {
    this.#isHeld = false;
    this.#isStopped = false;
    this.#kept = [];
    this.#finWaits = false;
    if (this.#pacer !== null) this.#pacer.waits = false;
  }

  get closed(): boolean {
    return this.#stream === null || this.#stream.isOver;
  }

  get gone(): boolean {
    return this.#gone;
  }

  get pendingBytes(): number {
    return this.#stream?.queuedBytes ?? 0;
  }

  get congested(): boolean {
    return this.pendingBytes > 0;
  }

  writeText(text: string): boolean {
    const bytes = Buffer.from(text, "latin1");
    return this.#send(bytes, 0, bytes.length);
  }

  relay(chunk: Buffer, start: number, end: number, to: Carrier): void {
    if (end === start || to.closed) return;
    const share = this.share ?? to.share;
    if (share !== null) {
      this.#pacer ??= new Pacer(() => this.#giveCredit());
      // The bytes have arrived, whatever the source's share is: there is no buffer that waiting would save.
      this.#pacer.pay(share, end - start, true);
    }
    to.take(chunk, start, end, this);
  }

  relayWithHead(head: string, chunk: Buffer, start: number, end: number, to: Carrier): void {
    to.writeText(head);
    this.relay(chunk, start, end, to);
  }

  take(chunk: Buffer, start: number, end: number, from: Feeder): void {
    if (this.#send(chunk, start, end)) return;
    if (this.#feeder !== from) this.#feeder?.release();
    this.#feeder = from;
    from.hold();
  }

  #send(chunk: Buffer, start: number, end: number): boolean {
    const last = this.endsWithNext;
    this.endsWithNext = false;
    if (last) this.#finSent = true;
    return this.#stream?.sendData(chunk, start, end, last) ?? true;
  }

  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#giveCredit();
  }

  stopReading(): void {
    this.#isStopped = true;
  }

  resumeReading(): void {
    this.#isStopped = false;
    if (this.#kept.length > 0 || this.#finWaits) this.#handOver();
    this.#giveCredit();
  }

  /** Hands on what came in the meantime, until reading is stopped anew. */
  #handOver(): void {
    const kept = this.#kept;
    while (kept.length > 0 && !this.#isStopped) {
      const bytes = kept.shift() as Buffer;
      this.handler.onBytes(bytes, bytes.length);
    }
    if (!this.#finWaits || this.#isStopped) return;
    this.#finWaits = false;
    this.#fin();
  }

  endStream(): void {
    this.#isHeld = false;
    if (this.#pacer !== null) this.#pacer.waits = false;
    this.#giveCredit();
  }

  /** What was read has been dealt with: the peer may send more, unless somebody waits. Call it behind each piece. */
  read(): void {
    this.#giveCredit();
  }

  #giveCredit(): void {
    const stream = this.#stream;
    if (stream === null || this.#isHeld || this.#isStopped || this.#pacer?.waits) return;
    stream.consumed(stream.unreadBytes);
  }

  /** The session looks after its peer. */
  keepAlive(): void {
    // A connection's PING is for all of its streams.
  }

  end(): void {
    if (this.#finSent || this.closed) return;
    this.#finSent = true;
    this.#stream?.sendData(NOTHING, 0, 0, true);
    this.#endTunnel();
  }

  destroy(): void {
    this.#break(CANCEL);
  }

  reset(): void {
    this.#break(this.isTcp ? CONNECT_ERROR : INTERNAL_ERROR);
  }

  #break(code: number): void {
    if (this.closed) return;
    this.#stream?.reset(code);
    this.#close(null);
  }

  /**
   * From now on the stream is all bytes, whose owner has set `handler`, or will within this turn. `finSeen`: the peer has
   * ended its direction, and the owner knows.
   */
  beginTunnel(finSeen = false): void {
    const stream = this.#stream;
    if (stream === null) return;
    this.#isTunnel = true;
    this.#finSeen = finSeen;
    this.#letGo();
    stream.handler = this;
    stream.isTunnel = true;
  }

  // StreamHandler, of a tunnel

  onHead(): void {
    // Came before it was one.
  }

  onInterim(): void {
    // The same.
  }

  onData(chunk: Buffer, start: number, end: number, last: boolean): void {
    if (this.#isStopped) {
      if (end > start) this.#kept.push(Buffer.from(chunk.subarray(start, end)));
      this.#finWaits = last;
      return;
    }
    if (end > start) {
      const bytes = chunk.subarray(start, end);
      this.handler.onBytes(bytes, bytes.length);
      this.#giveCredit();
    }
    if (last) this.#fin();
  }

  /** A tunnel has no trailers (RFC 9113 section 8.5): they end it like any end. */
  onTrailers(): void {
    if (this.#isStopped) this.#finWaits = true;
    else this.#fin();
  }

  #fin(): void {
    this.#finSeen = true;
    this.handler.onFin();
    this.#endTunnel();
  }

  #endTunnel(): void {
    if (this.#isTunnel && this.#finSeen && this.#finSent) this.#close(null);
  }

  onWritable(): void {
    const feeder = this.#feeder;
    this.#feeder = null;
    feeder?.release();
    if (this.#isTunnel) this.handler.onDrain();
  }

  /** A tunnel that its peer leaves without an error has ended: what it has sent is whole, and still goes out. */
  onReset(code: number): void {
    if (code === NO_ERROR && this.#isTunnel && !this.#finSeen) this.#fin();
    const isPlain = code === NO_ERROR || (code === CANCEL && !this.isTcp);
    this.#close(isPlain ? null : new Error(`the stream was reset with code ${code}`));
  }

  #close(error: Error | null): void {
    if (this.#gone) return;
    this.unbind();
    const isTunnel = this.#isTunnel;
    this.#isTunnel = false;
    // Not within the call that ended it: whoever made that has more to do.
    queueMicrotask(() => (isTunnel ? this.handler.onClose(error) : this.#onBreak()));
  }
}

function ignore(): void {
  // Nobody is there yet.
}
