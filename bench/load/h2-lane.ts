import type { CallShape } from "../h2/request.ts";
import type { H2Connection } from "./h2-connection.ts";
import { H2Answer, type H2Protocol } from "./h2-streams.ts";
import type { Lane } from "./lane.ts";

/** One of the requests that an HTTP/2 connection carries at a time; a stream of its own for each. */
export class H2Lane implements Lane {
  readonly answer: H2Answer;
  intended = 0;
  since = performance.now();
  /** Its stream; 0: none is under way. */
  streamId = 0;
  /** Octets of the stream's window that are to be given back. */
  taken = 0;
  readonly #connection: H2Connection;

  constructor(connection: H2Connection, protocol: H2Protocol, bodyBytes: number, shape: CallShape) {
    this.#connection = connection;
    this.answer = new H2Answer(protocol, bodyBytes, shape);
  }

  get group(): number {
    return this.#connection.group;
  }

  get isIdle(): boolean {
    return this.streamId === 0 && this.#connection.isOpen;
  }

  send(request: string, intended: number, now: number): void {
    this.intended = intended;
    this.since = now;
    this.taken = 0;
    this.answer.begin();
    this.#connection.request(this, request);
  }
}
