import type { RequestHead, ResponseHead } from "../message.ts";
import { requestHeadOf } from "./request-head.ts";
import { responseHeadOf } from "./response-head.ts";
import type { Stream } from "./stream.ts";

interface KnownRequest {
  readonly head: RequestHead;
  readonly last: boolean;
}

/**
 * Heads of requests that repeat, of streams that come from one caller by one way: for the same list of fields there is one head,
 * which all of them share, with what was prepared of it for endpoints (`RequestHead.forwarded`).
 */
export class KnownRequests {
  readonly #known = new WeakMap<readonly string[], KnownRequest>();

  /** As `requestHeadOf`. */
  headOf(stream: Stream | null, fields: readonly string[], last: boolean): RequestHead {
    if (stream === null || !stream.headRepeats) return requestHeadOf(fields, last);
    const known = this.#known.get(fields);
    if (known?.last === last) return known.head;
    const head = requestHeadOf(fields, last);
    // A request for a tunnel gets fields of its own.
    if (head.method === "CONNECT" || head.upgrade !== "") return head;
    head.repeats = true;
    this.#known.set(fields, { head, last });
    return head;
  }
}

interface KnownResponse {
  readonly head: ResponseHead;
  readonly method: string;
  readonly last: boolean;
}

/** The same for the heads of responses that come by one connection. */
export class KnownResponses {
  readonly #known = new WeakMap<readonly string[], KnownResponse>();

  /** As `responseHeadOf`. */
  headOf(
    stream: Stream | null,
    fields: readonly string[],
    method: string,
    last: boolean,
  ): ResponseHead {
    if (stream === null || !stream.headRepeats) return responseHeadOf(fields, method, last);
    const known = this.#known.get(fields);
    if (known?.last === last && known.method === method) return known.head;
    const head = responseHeadOf(fields, method, last);
    head.repeats = true;
    this.#known.set(fields, { head, method, last });
    return head;
  }
}
