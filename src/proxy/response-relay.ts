import type { RequestFacts } from "../core/facts.ts";
import type { Carrier } from "../http/carrier.ts";
import type { AnswerHead, Downstream } from "../http/downstream.ts";
import { ChunkedDecoder } from "../http/h1/chunked.ts";
import type { Framing, RequestHead, ResponseHead } from "../http/message.ts";
import { withLine } from "./forward-head.ts";
import { downstreamHead } from "./rewrite.ts";
import type { RoutePlan } from "./route-plan.ts";

/** Passes a response on to the client: its head rewritten, its body as it is, chunked or not. */
export class ResponseRelay implements AnswerHead {
  /** The rewritten head. */
  text = "";
  /** How the content goes on. */
  framing: Framing = "none";
  readonly #limits: { readonly headBytes: number; readonly headerCount: number };
  readonly #facts: RequestFacts;
  /** Takes the chunked coding off, which HTTP/1.0 clients do not know. */
  #decoder: ChunkedDecoder | null = null;

  constructor(
    limits: { readonly headBytes: number; readonly headerCount: number },
    facts: RequestFacts,
  ) {
    this.#limits = limits;
    this.#facts = facts;
  }

  /** The head as it goes to the client. */
  #headFor(head: ResponseHead, request: RequestHead, keepAlive: boolean): string {
    const version = this.#facts.upstreamVersion === 2 ? 2 : 1;
    return downstreamHead(head, request, keepAlive, version);
  }

  /** HTTP/1.0 knows no interim responses (RFC 9110 section 15.2). */
  informational(head: ResponseHead, request: RequestHead, to: Downstream): void {
    if (request.minor === 1) to.interim(this.#headFor(head, request, true));
  }

  /** Prepares the head. Returns whether the client's connection may really go on after this response. */
  begin(head: ResponseHead, request: RequestHead, keepAlive: boolean): boolean {
    const decode = head.framing === "chunked" && request.minor === 0;
    this.#decoder = decode
      ? new ChunkedDecoder(
          { trailerBytes: this.#limits.headBytes, headerCount: this.#limits.headerCount },
          "response",
        )
      : null;
    this.framing = decode ? "eof" : head.framing;
    const goesOn = keepAlive && !decode && head.framing !== "eof";
    this.text = this.#headFor(head, request, goesOn);
    return goesOn;
  }

  /** Changes the prepared head as the rules say. */
  edit(plan: RoutePlan, lines: string): void {
    if (plan.active || lines !== "") this.text = this.edited(this.text, plan, lines);
  }

  /** A head as the rules change it; `lines`: what is left of the caller's rate. */
  edited(text: string, { backend, corsEdits, cookie }: RoutePlan, lines: string): string {
    let now = text;
    if (backend?.responseEdits) now = backend.responseEdits.apply(now);
    if (corsEdits !== null) now = corsEdits.apply(now);
    const more = lines + cookie;
    return more === "" ? now : withLine(now, more);
  }

  /** The head with what came along of the body. */
  first(
    from: Carrier,
    chunk: Buffer,
    start: number,
    end: number,
    last: boolean,
    to: Downstream,
  ): void {
    if (this.#decoder === null) {
      to.begin(this, chunk, start, end, last, from);
      return;
    }
    to.begin(this, chunk, start, start, false, from);
    this.more(from, chunk, start, end, last, to);
  }

  more(
    from: Carrier,
    chunk: Buffer,
    start: number,
    end: number,
    last: boolean,
    to: Downstream,
  ): void {
    if (this.#decoder === null) {
      to.more(chunk, start, end, last, from);
      return;
    }
    this.#decoder.feed(chunk, start, end, (bytes, first, behind) => {
      to.more(bytes, first, behind, false, from);
    });
  }
}
