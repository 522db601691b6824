import type { MeshError } from "../core/errors.ts";
import type { Carrier } from "./carrier.ts";
import type { ResponseHead } from "./message.ts";

/** What an upstream tells the request that occupies it. */
export interface UpstreamHandler {
  /** An interim response (1xx other than 101). */
  onInformational(head: ResponseHead): void;
  /** The final head (or 101), with the part of the body that came along. */
  onResponse(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void;
  /** More of the body, in its transfer coding. An empty `last` part ends an EOF-delimited body. */
  onResponseBody(chunk: Buffer, start: number, end: number, last: boolean): void;
  /** The request failed on this upstream, which is over. */
  onUpstreamError(error: MeshError): void;
}

/** What a request is sent by, and its response comes by: a connection of HTTP/1, or a stream of HTTP/2. */
export interface Upstream {
  /** Major version of HTTP. */
  readonly version: 1 | 2;
  /** Address of the endpoint, for people. */
  readonly peer: string;
  /** The connection (or tunnel) that it is, or that its stream is one of. */
  readonly conn: Carrier;
  /** What bodies go and come by; all there is of it once the request has become a tunnel. */
  readonly carrier: Carrier;
  /** Requests begun on the connection. */
  readonly requests: number;
  /** `text`: the head and as much of the body as is known. `complete`: that is all. */
  send(handler: UpstreamHandler, method: string, text: string, complete: boolean): void;
  /** More of the body, which `from` has just read. */
  sendBody(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier): void;
  /** It has become a tunnel over `carrier`. */
  detach(): void;
}
