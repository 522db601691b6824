import type { AnswerReader, Progress } from "./answer.ts";

/** Counts the bytes of answers that have no head. */
export class TcpAnswer implements AnswerReader {
  readonly #bodyBytes: number;
  #left: number;

  constructor(bodyBytes: number) {
    this.#bodyBytes = bodyBytes;
    this.#left = bodyBytes;
  }

  read(_chunk: Buffer, length: number): Progress {
    this.#left -= length;
    if (this.#left > 0) return "more";
    if (this.#left < 0) return "garbled";
    this.#left = this.#bodyBytes;
    return "whole";
  }
}

const HEAD_END = "\r\n\r\n";
const MAX_HEAD_BYTES = 8_192;

/** Waits for the answer to CONNECT, whose end is the end of what is read: the other side waits for us then. */
export class ConnectAnswer implements AnswerReader {
  #head = "";

  read(chunk: Buffer, length: number): Progress {
    this.#head += chunk.toString("latin1", 0, length);
    const end = this.#head.indexOf(HEAD_END);
    if (end === -1) return this.#head.length > MAX_HEAD_BYTES ? "garbled" : "more";
    const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(this.#head) ?? [];
    if (status === undefined) return "garbled";
    if (status !== "200") return `status ${status}`;
    return end + HEAD_END.length === this.#head.length ? "whole" : "garbled";
  }
}
