import type { Share } from "../core/share.ts";
import type { RequestHead } from "../http/message.ts";
import { HeldBody } from "./held-body.ts";
import type { RequestSpans } from "./request-spans.ts";

/** The request that a client connection is at: what both sides of its exchange know of it. */
export class RequestState {
  /** Null between requests. */
  head: RequestHead | null = null;
  /** What goes on of it: itself, or what its rule makes of it. */
  sent: RequestHead | null = null;
  /** Lines with request id and traceparent: as they go to the endpoint, unless propagation.ts says otherwise. */
  ids = "";
  /** Null: it is not sampled. */
  spans: RequestSpans | null = null;
  /** Has the client sent its whole request? */
  complete = false;
  answered = false;
  /** Has an interim response gone to the client? */
  interim = false;
  /** Has the client been told to send the content for which it waited? */
  continued = false;
  readonly body: HeldBody;

  constructor(replayBytes: number, share: Share | null) {
    this.body = new HeldBody(replayBytes, share);
  }

  begin(head: RequestHead, complete: boolean): void {
    this.head = head;
    this.sent = head;
    this.ids = "";
    this.spans = null;
    this.complete = complete;
    this.answered = false;
    this.interim = false;
    this.continued = !head.expectContinue;
  }
}
