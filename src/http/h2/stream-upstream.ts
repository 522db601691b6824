import { MeshError } from "../../core/errors.ts";
import type { Carrier } from "../carrier.ts";
import type { Conn } from "../conn.ts";
import type { FieldLimits, Framing } from "../message.ts";
import type { Upstream, UpstreamHandler } from "../upstream.ts";
import { chunkOf, trailerSection } from "./chunk-coding.ts";
import type { ClientSession } from "./client-session.ts";
import { CANCEL, INTERNAL_ERROR, PROTOCOL_ERROR } from "./codes.ts";
import { ChunkedSender, type ContentSender, PlainSender } from "./content-sender.ts";
import type { KnownResponses } from "./known-heads.ts";
import { requestFieldsOf } from "./request-fields.ts";
import { responseHeadOf, switchedHeadOf } from "./response-head.ts";
import type { Stream, StreamHandler } from "./stream.ts";
import { StreamCarrier } from "./stream-carrier.ts";
import { goneError, resetError } from "./stream-errors.ts";
import { trailerLines } from "./trailers.ts";
import { websocketAccept } from "./websocket-key.ts";

const NOTHING = Buffer.alloc(0);

/** As `requestHeadText` writes it; values have no line ends, so it cannot be part of one. */
const CHUNKED_LINE = "\r\nTransfer-Encoding: chunked\r\n";

/** What a request's place on a session belongs to. */
export interface StreamUpstreamOwner {
  readonly session: ClientSession;
  /** Address of the endpoint, for people. */
  readonly peer: string;
  readonly limits: FieldLimits & { readonly headBytes: number };
  readonly knownResponses: KnownResponses;
  /** Adds to the fields of a request what its place says of it. */
  prepare?(fields: string[]): void;
  /** The place is taken: from now on the session counts the stream. */
  onSent(): void;
  /** The place is given back, and was never taken. */
  onUnused(): void;
  /** The endpoint has answered: it is there. */
  onAnswered(): void;
  /** The request was given up before it was answered. */
  onUnanswered(): void;
}

/**
 * One request on a stream of HTTP/2 (RFC 9113 section 8.1), as the proxy's spine knows it: its head and body are those of
 * HTTP/1.1. It takes nothing from the session before `send`.
 */
export class StreamUpstream implements Upstream, StreamHandler {
  readonly carrier: StreamCarrier;
  readonly requests: number;
  readonly #owner: StreamUpstreamOwner;
  #stream: Stream | null = null;
  /** Whom the response is told to; null before the request and behind the end of the response. */
  #handler: UpstreamHandler | null = null;
  #sender: ContentSender | null = null;
  #isSent = false;
  #isAnswered = false;
  #method = "";
  /** What a tunnel is asked for by: CONNECT, or an upgrade to websocket with the accept value that its client expects. */
  #tunnel: "none" | "connect" | "websocket" = "none";
  #accept = "";
  #framing: Framing = "none";

  /** `requests`: begun on the session, this one included. */
  constructor(owner: StreamUpstreamOwner, requests: number) {
    this.#owner = owner;
    this.requests = requests;
    this.carrier = new StreamCarrier(null, () => this.#fail(goneError(this.peer), CANCEL));
  }

  get version(): 2 {
    return 2;
  }

  get peer(): string {
    return this.#owner.peer;
  }

  get conn(): Conn {
    return this.#owner.session.conn;
  }

  send(handler: UpstreamHandler, method: string, text: string, complete: boolean): void {
    const { session } = this.#owner;
    this.#handler = handler;
    this.#method = method;
    const headEnd = text.indexOf("\r\n\r\n") + 4;
    const fields = requestFieldsOf(text, "http");
    this.#owner.prepare?.(fields);
    if (fields[1] === "CONNECT") this.#askForTunnel(text.slice(0, headEnd));
    const isTunnel = this.#tunnel !== "none";
    const mayTunnel = this.#tunnel !== "websocket" || session.connectProtocol;
    const isWhole = complete && headEnd === text.length && !isTunnel;
    const stream = mayTunnel ? session.request(this, fields, isWhole) : null;
    this.#isSent = true;
    if (stream === null) {
      this.#failLater(mayTunnel ? this.#refused() : this.#noWebSocket());
      return;
    }
    this.#owner.onSent();
    this.#stream = stream;
    this.carrier.bind(stream);
    if (isWhole || isTunnel) return;
    this.#sender = this.#senderFor(stream, text, headEnd);
    if (headEnd === text.length) return;
    const body = Buffer.from(text.slice(headEnd), "latin1");
    this.#sender.send(body, 0, body.length, complete, null);
  }

  #askForTunnel(head: string): void {
    this.#tunnel = this.#method === "CONNECT" ? "connect" : "websocket";
    if (this.#tunnel === "websocket") this.#accept = websocketAccept(head);
  }

  #senderFor(stream: Stream, text: string, headEnd: number): ContentSender {
    const at = text.indexOf(CHUNKED_LINE);
    if (at === -1 || at >= headEnd) return new PlainSender(stream, this.carrier, null);
    const { headBytes: trailerBytes, headerCount } = this.#owner.limits;
    const limits = { trailerBytes, headerCount };
    return new ChunkedSender(stream, this.carrier, limits, "request", null);
  }

  #refused(): MeshError {
    return new MeshError("UPSTREAM_REFUSED", `${this.peer}, the connection takes no more streams`);
  }

  #noWebSocket(): MeshError {
    const detail = "no WebSocket over HTTP/2: SETTINGS_ENABLE_CONNECT_PROTOCOL is not set";
    return new MeshError("UPSTREAM_PROTOCOL", `${this.peer}, ${detail}`);
  }

  /** Not within `send`, whose caller is not done with the request. */
  #failLater(error: MeshError): void {
    queueMicrotask(() => {
      this.#owner.onUnused();
      this.#fail(error, CANCEL);
    });
  }

  sendBody(chunk: Buffer, start: number, end: number, last: boolean, from: Carrier): void {
    this.#sender?.send(chunk, start, end, last, from);
  }

  detach(): void {
    this.#handler = null;
    this.carrier.beginTunnel();
    this.#stream = null;
  }

  /** The request has ended, or is given up: what is left of the stream is not wanted. */
  close(): void {
    const stream = this.#stream;
    this.#handler = null;
    if (!this.#isSent) {
      this.#isSent = true;
      this.#owner.onUnused();
    }
    if (stream === null) return;
    this.#letGo();
    // While the last piece is handed over the stream still stands.
    if (!stream.localDone || !stream.remoteDone) stream.reset(CANCEL);
  }

  /** Ends it in the middle. */
  giveUp(): void {
    if (this.#isSent && !this.#isAnswered) this.#owner.onUnanswered();
    this.close();
  }

  #letGo(): void {
    this.#stream = null;
    this.#sender = null;
    this.carrier.unbind();
  }

  // What the stream tells

  onHead(fields: readonly string[], last: boolean): void {
    const handler = this.#handler;
    if (handler === null) return;
    this.#isAnswered = true;
    this.#owner.onAnswered();
    try {
      const isGranted = this.#tunnel !== "none" && fields[1]!.startsWith("2");
      if (isGranted) this.#grant(handler, fields, last);
      else this.#respond(handler, fields, last);
    } catch (error) {
      this.#break(handler, error);
    }
  }

  #respond(handler: UpstreamHandler, fields: readonly string[], last: boolean): void {
    const { knownResponses } = this.#owner;
    const head = knownResponses.headOf(this.#stream, fields, this.#method, last);
    this.#framing = head.framing;
    // There is no tunnel, and nothing else was to follow.
    if (this.#tunnel !== "none") this.carrier.end();
    if (last) this.#handler = null;
    handler.onResponse(head, NOTHING, 0, 0, last);
  }

  #grant(handler: UpstreamHandler, fields: readonly string[], last: boolean): void {
    const head =
      this.#tunnel === "websocket"
        ? switchedHeadOf(fields, this.#accept)
        : responseHeadOf(fields, this.#method, false);
    this.#handler = null;
    const stream = this.#stream;
    handler.onResponse(head, NOTHING, 0, 0, true);
    if (last && stream?.handler === this.carrier) this.carrier.onData(NOTHING, 0, 0, true);
  }

  onInterim(fields: readonly string[]): void {
    const handler = this.#handler;
    if (handler === null) return;
    try {
      handler.onInformational(responseHeadOf(fields, this.#method, false));
    } catch (error) {
      this.#break(handler, error);
    }
  }

  onData(chunk: Buffer, start: number, end: number, last: boolean): void {
    const handler = this.#handler;
    if (handler !== null) {
      if (last) this.#handler = null;
      try {
        if (this.#framing === "chunked") {
          const coded = chunkOf(chunk, start, end, last);
          handler.onResponseBody(coded.bytes, 0, coded.end, last);
        } else handler.onResponseBody(chunk, start, end, last);
      } catch (error) {
        this.#break(handler, error);
      }
    }
    this.carrier.read();
  }

  /** Where the content has a length HTTP/1.1 has no place for them: there they are dropped (RFC 9110 section 6.5.1). */
  onTrailers(fields: readonly string[]): void {
    const handler = this.#handler;
    if (handler === null) return;
    this.#handler = null;
    try {
      if (this.#framing === "chunked") {
        const coded = trailerSection(trailerLines(fields));
        handler.onResponseBody(coded.bytes, 0, coded.end, true);
      } else {
        if (this.#framing === "length") this.carrier.trailers = trailerLines(fields);
        handler.onResponseBody(NOTHING, 0, 0, true);
      }
    } catch (error) {
      this.#break(handler, error);
    }
  }

  /** Behind the whole response it says that the rest of the request is not wanted (RFC 9113 section 8.1), and is no failure. */
  onReset(code: number, byPeer: boolean): void {
    const stream = this.#stream;
    if (stream === null) return;
    const { session } = this.#owner;
    const what = { code, byPeer, isRefused: stream.retrySafe, isAnswered: this.#isAnswered };
    this.#letGo();
    const handler = this.#handler;
    this.#handler = null;
    handler?.onUpstreamError(resetError(this.peer, what, session));
  }

  onWritable(): void {
    this.carrier.onWritable();
  }

  /** What came is no response, or the spine itself has failed with it. */
  #break(handler: UpstreamHandler, reason: unknown): void {
    const isTheirs = reason instanceof MeshError;
    const error = isTheirs ? reason : new MeshError("INTERNAL", "while relaying", reason);
    this.#handler = handler;
    this.#fail(error, isTheirs ? PROTOCOL_ERROR : INTERNAL_ERROR);
  }

  #fail(error: MeshError, code: number): void {
    const handler = this.#handler;
    const stream = this.#stream;
    this.#handler = null;
    if (stream !== null) {
      this.#letGo();
      stream.reset(code);
    }
    handler?.onUpstreamError(error);
  }
}
