import type { MeshError } from "../core/errors.ts";
import type { Carrier } from "./carrier.ts";
import type { RequestHead } from "./message.ts";

/**
 * Where requests come from and their responses go, whatever the version of HTTP: a connection of HTTP/1, with one request
 * after the other, or a stream of HTTP/2. Heads are texts and bodies are in the transfer coding of HTTP/1.1 on both
 * sides of the proxy's spine; a stream translates.
 */
export interface Downstream {
  /** What bodies come and go by; all there is of it once the request has become a tunnel. */
  readonly carrier: Carrier;
  /** When `onAnswerDeadline` is to be called while an answer is due. */
  deadlineMs: number;
  /** Has the client ended its direction in a way that says nothing of the request? */
  readonly finSeen: boolean;
  /** A whole response, head and body. */
  answer(text: string): void;
  /** An interim response (1xx). */
  interim(text: string): void;
  /** The head of a response, with `chunk[start, end)` of its body, which `from` has just read. `last`: it is whole. */
  begin(
    head: string,
    chunk: Buffer,
    start: number,
    end: number,
    last: boolean,
    from: Carrier,
  ): void;
  more(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier): void;
  /** The answer is written: on to the next request, or to the end when `keepAlive` is false. */
  finish(keepAlive: boolean, nowMs: number): void;
  /** A shutdown has begun: ends where nothing is under way. */
  retire(): void;
  /** Ends it behind the last answer, so that the client can read that. */
  closeGently(): void;
  /** It has become a tunnel over `carrier`; returns bytes that were read ahead. */
  detach(): Buffer | null;
}

/** What is told of the requests that come; one at a time. */
export interface DownstreamHandler {
  /** A head, with the part of the body that came along. `last`: the request is complete. */
  onRequest(head: RequestHead, chunk: Buffer, start: number, end: number, last: boolean): void;
  /** More of the body, in its transfer coding. */
  onRequestBody(chunk: Buffer, start: number, end: number, last: boolean): void;
  /** The bytes are no request, or a limit or time limit was hit. Nothing more is read. */
  onRequestError(error: MeshError): void;
  /** The client has ended its direction while an answer is due. It may still read, or be gone. */
  onClientFin(): void;
  /** The client went away while an answer was due, or the whole connection ended. */
  onClientClose(error: Error | null): void;
  /** A time limit set through `Downstream.deadlineMs` while an answer was due has passed. */
  onAnswerDeadline(nowMs: number): void;
}

/** Opens it for this handler. */
export type OpenDownstream = (handler: DownstreamHandler) => Downstream;
