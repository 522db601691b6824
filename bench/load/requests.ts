import { requestPath, UNARY } from "../h2/request.ts";
import type { LoadJob } from "../model.ts";

/** The texts of requests, in turn for every service. */
export class Requests {
  readonly #job: LoadJob;
  readonly #texts: readonly string[];
  #sent = 0;

  constructor(job: LoadJob) {
    this.#job = job;
    this.#texts = job.targets.map(({ authority }) => textOf(job, authority, null));
  }

  /** The next request for one service, or for the one whose turn it is. */
  next(service: number | null): string {
    const sent = this.#sent++;
    const index = service ?? sent % this.#texts.length;
    const { vary, protocol, targets } = this.#job;
    if (!vary || protocol === "tcp") return this.#texts[index] as string;
    const authority = targets[index]?.authority ?? "";
    return textOf(this.#job, authority, sent);
  }
}

/** `mark`: a number that makes it like no other. For HTTP/2 only what it consists of, as each connection codes it anew. */
function textOf(job: LoadJob, authority: string, mark: number | null): string {
  const { protocol, bodyBytes } = job;
  if (protocol === "tcp") return `${bodyBytes}\n`;
  const query = mark === null ? "" : `?request=${mark}`;
  if (protocol === "http1") {
    const field = mark === null ? "" : `X-Load-Id: ${mark}\r\n`;
    return `GET /${bodyBytes}${query} HTTP/1.1\r\nHost: ${authority}\r\n${field}\r\n`;
  }
  // The path of a gRPC call is its method's name.
  const path =
    requestPath(protocol, bodyBytes, { ...UNARY, ...job }) + (protocol === "grpc" ? "" : query);
  return `${path}\n${authority}${mark === null ? "" : `\nx-load-id\n${mark}`}`;
}
