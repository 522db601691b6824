import type { MeshError } from "../core/errors.ts";
import type { Carrier } from "./carrier.ts";
import type { Framing, RequestHead } from "./message.ts";

/**
 * Where requests come from and their responses go, whatever the version of HTTP: a connection of HTTP/1, with one request
 * after the other, or a stream of HTTP/2. Heads are texts and bodies are in the transfer coding of HTTP/1.1 on both
 * sides of the proxy's spine; a stream translates.
 */
export interface Downstream {
  /** Major version of HTTP. */
  readonly version: 1 | 2;
  /** The version that its client would have spoken without us to an endpoint of which it knows nothing. */
  readonly upstreamVersion: 1 | 2;
  /** What bodies come and go by; all there is of it once the request has become a tunnel. */
  readonly carrier: Carrier;
  /** When `onAnswerDeadline` is to be called while an answer is due. */
  deadlineMs: number;
  /** Has the client ended its direction in a way that says nothing of the request? */
  readonly finSeen: boolean;
  /** Messages so far of a call of gRPC, which the present request is; of any other there are none. */
  readonly requestMessages: number;
  readonly responseMessages: number;
  /** A whole response, head and body. */
  answer(text: string): void;
  /** An interim response (1xx). */
  interim(text: string): void;
  /** The head that grants a tunnel, and is followed by its bytes. */
  grant(head: string): void;
  /** The head of a response, with `chunk[start, end)` of its body, which `from` has just read. `last`: it is whole. */
  begin(
    head: AnswerHead,
    chunk: Buffer,
    start: number,
    end: number,
    last: boolean,
    from: Carrier,
  ): void;
  more(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier): void;
  /**
   * Breaks an answer off that has begun, so that its client does not take it for whole: where they are given and the
   * protocol has a place for them, by these trailer lines.
   */
  breakOff(trailers: string): void;
  /** The answer is written: on to the next request, or to the end when `keepAlive` is false. */
  finish(keepAlive: boolean, nowMs: number): void;
  /** A shutdown has begun: ends where nothing is under way. */
  retire(): void;
  /** Ends it behind the last answer, so that the client can read that. */
  closeGently(): void;
  /** It has become a tunnel over `carrier`; returns bytes that were read ahead. */
  detach(): Buffer | null;
}

/** The head of a response as it goes out, and how its content is framed, in the terms of HTTP/1.1. */
export interface AnswerHead {
  readonly text: string;
  readonly framing: Framing;
}

/** What is told of the requests that come; one at a time. */
export interface DownstreamHandler {
  /** A head, with the part of the body that came along. `last`: the request is complete. */
  onRequest(head: RequestHead, chunk: Buffer, start: number, end: number, last: boolean): void;
  /**
   * The client speaks HTTP/2 with prior knowledge (RFC 9113 section 3.4). `rest` is what came behind the head that its
   * preface begins with, and is only valid during the call. The handler takes the connection over.
   */
  onPreface(rest: Buffer): void;
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
