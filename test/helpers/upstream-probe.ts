import type { MeshError } from "../../src/core/errors.ts";
import type { ResponseHead } from "../../src/http/message.ts";
import type { Upstream, UpstreamHandler } from "../../src/http/upstream.ts";
import { until } from "./until.ts";

/** Remembers what an upstream told of one request. */
export class UpstreamProbe implements UpstreamHandler {
  readonly interim: number[] = [];
  head: ResponseHead | null = null;
  /** In its transfer coding. */
  body = "";
  bytes = 0;
  complete = 0;
  readonly errors: MeshError[] = [];
  /** Does something with each part of the body before it is gone. */
  onPart: (chunk: Buffer, start: number, end: number, last: boolean) => void = () => undefined;
  onHead: (head: ResponseHead) => void = () => undefined;

  onInformational(head: ResponseHead): void {
    this.interim.push(head.status);
  }

  onResponse(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.head = head;
    this.onHead(head);
    this.onResponseBody(chunk, start, end, last);
  }

  onResponseBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.bytes += end - start;
    if (this.bytes < 100_000) this.body += chunk.toString("latin1", start, end);
    this.onPart(chunk, start, end, last);
    if (last) this.complete += 1;
  }

  onUpstreamError(error: MeshError): void {
    this.errors.push(error);
  }

  get status(): number {
    return this.head?.status ?? 0;
  }

  /** Code of the failure; "": there was none. */
  get error(): string {
    return this.errors[0]?.code ?? "";
  }

  async over(): Promise<this> {
    const isOver = () => this.complete + this.errors.length > 0;
    await until(isOver, { what: "the end of a response" });
    return this;
  }
}

/** Sends a request that has no content. */
export function sendGet(upstream: Upstream, path = "/", extra = ""): UpstreamProbe {
  const probe = new UpstreamProbe();
  upstream.send(probe, "GET", `GET ${path} HTTP/1.1\r\nHost: web\r\n${extra}\r\n`, true);
  return probe;
}
