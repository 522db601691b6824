import type { Carrier } from "../carrier.ts";
import type { GrpcMessages } from "../grpc-messages.ts";
import { ChunkedDecoder, type ChunkedLimits, type PayloadSink } from "../h1/chunked.ts";
import type { Side } from "../h1/malformed.ts";
import type { Stream } from "./stream.ts";
import type { StreamCarrier } from "./stream-carrier.ts";
import { trailerFieldsOf } from "./trailers.ts";

/** Sends the content of a message, as the spine has it, on a stream. */
export interface ContentSender {
  /** More of it, which `from` has just read; null: it was kept, and there is nobody to hold back. `last`: that is all. */
  send(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier | null): void;
}

/** Content as it is, and what trailers its carrier has behind it. */
export class PlainSender implements ContentSender {
  readonly #stream: Stream;
  readonly #carrier: StreamCarrier;

  readonly #messages: GrpcMessages | null;

  /** `messages` counts those in the content. */
  constructor(stream: Stream, carrier: StreamCarrier, messages: GrpcMessages | null) {
    this.#stream = stream;
    this.#carrier = carrier;
    this.#messages = messages;
  }

  send(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier | null): void {
    this.#messages?.add(chunk, start, end);
    const trailers = last && from !== null ? from.trailers : "";
    this.#sendContent(chunk, start, end, last && trailers === "", from);
    if (trailers !== "") this.#stream.sendTrailers(trailerFieldsOf(trailers));
  }

  #sendContent(
    chunk: Buffer,
    start: number,
    end: number,
    last: boolean,
    from: Carrier | null,
  ): void {
    if (from === null || start === end) {
      if (last || end > start) this.#stream.sendData(chunk, start, end, last);
      return;
    }
    const carrier = this.#carrier;
    carrier.endsWithNext = last;
    from.relay(chunk, start, end, carrier);
    carrier.endsWithNext = false;
  }
}

/**
 * Content in the chunked coding of HTTP/1.1, which is taken off: its trailer section becomes the stream's, and the end goes
 * out with the last piece where that is at hand.
 */
export class ChunkedSender implements ContentSender {
  readonly #stream: Stream;
  readonly #plain: PlainSender;
  readonly #decoder: ChunkedDecoder;
  #from: Carrier | null = null;
  /** Found and not sent yet, because it may be the last. */
  #start = 0;
  #end = 0;

  /** `side`: whose content it is. `messages` counts those in it. */
  constructor(
    stream: Stream,
    carrier: StreamCarrier,
    limits: ChunkedLimits,
    side: Side,
    messages: GrpcMessages | null,
  ) {
    this.#stream = stream;
    this.#plain = new PlainSender(stream, carrier, messages);
    this.#decoder = new ChunkedDecoder(limits, side);
  }

  /** `last` is told by the coding itself. */
  send(chunk: Buffer, start: number, end: number, _last: boolean, from: Carrier | null): void {
    this.#from = from;
    this.#start = 0;
    this.#end = 0;
    this.#decoder.feed(chunk, start, end, this.#sink);
    const { done, trailers } = this.#decoder;
    const endsHere = done && trailers === "";
    this.#plain.send(chunk, this.#start, this.#end, endsHere, from);
    if (done && !endsHere) this.#stream.sendTrailers(trailerFieldsOf(trailers));
    this.#from = null;
  }

  readonly #sink: PayloadSink = (chunk, start, end) => {
    this.#plain.send(chunk, this.#start, this.#end, false, this.#from);
    this.#start = start;
    this.#end = end;
  };
}
