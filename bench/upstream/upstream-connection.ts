import type { Socket } from "node:net";
import type { ConnHandler } from "../../src/http/carrier.ts";
import type { Conn } from "../../src/http/conn.ts";
import { CLIENT_PREFACE } from "../../src/http/h2/codes.ts";
import { acceptConn } from "../../src/http/open-conn.ts";
import { type Answer, type Answers, BODY, MAX_BODY_BYTES, tcpAnswer } from "./answers.ts";
import { beginsHttp2, H2Connection } from "./h2-connection.ts";
import { type Asked, type Refusal, readLine, readRequest } from "./request-head.ts";

const ZERO = 0x30;
const NINE = 0x39;

/** One for all connections: what was read is used before the next head is read. */
const asked: Asked = { end: 0, size: 0, bodyBytes: 0, isMarked: false };

/**
 * Answers what comes on one connection, one after the other. Its first bytes tell which protocol it is: raw TCP begins with
 * a digit, HTTP/2 with its preface. The next request is read when the last answer has been handed to the kernel; HTTP/2
 * has windows for that.
 */
export class UpstreamConnection implements ConnHandler {
  readonly #answers: Answers;
  readonly #onGone: () => void;
  readonly #conn: Conn;
  #protocol: "unknown" | "http" | "tcp" = "unknown";
  #h2: H2Connection | null = null;
  /** What was read and not used: a part of a head, or what came while an answer was written. */
  #kept: Buffer | null = null;
  /** Bytes of a request's body to be skipped. */
  #skip = 0;
  /** Bytes of an answer's body to be written. */
  #left = 0;
  /** What the request whose body is skipped asks for. */
  #size = 0;
  #isMarked = false;
  #isStopped = false;
  #isOver = false;

  /** `onGone` is called once, when the connection is closed. */
  constructor(accepted: Socket, answers: Answers, onGone: () => void) {
    this.#answers = answers;
    this.#onGone = onGone;
    this.#conn = acceptConn(accepted, this);
    this.#conn.socket.setNoDelay(true);
    this.#conn.resumeReading();
  }

  onBytes(chunk: Buffer, end: number): void {
    if (this.#h2 !== null) {
      this.#readHttp2(this.#h2, chunk, 0, end);
      return;
    }
    if (this.#kept === null) {
      this.#take(chunk, end);
      return;
    }
    const whole = Buffer.concat([this.#kept, chunk.subarray(0, end)]);
    this.#kept = null;
    this.#take(whole, whole.length);
  }

  onFin(): void {
    this.#conn.end();
  }

  onDrain(): void {
    if (this.#h2 !== null) return;
    if (this.#left > 0) this.#writeRest();
    if (this.#isBusy) return;
    const kept = this.#kept;
    this.#kept = null;
    if (kept !== null) this.#take(kept, kept.length);
    if (this.#isBusy || !this.#isStopped) return;
    this.#isStopped = false;
    this.#conn.resumeReading();
  }

  onClose(): void {
    this.#isOver = true;
    this.#onGone();
  }

  destroy(): void {
    this.#conn.destroy();
  }

  get #isBusy(): boolean {
    return this.#left > 0 || this.#conn.congested;
  }

  #take(chunk: Buffer, end: number): void {
    let at = 0;
    while (at < end && !this.#isOver) {
      if (this.#isBusy) {
        this.#kept = Buffer.from(chunk.subarray(at, end));
        this.#isStopped = true;
        this.#conn.stopReading();
        return;
      }
      const next = this.#skip > 0 ? this.#skipBody(at, end) : this.#request(chunk, at, end);
      if (next === at) {
        this.#kept = Buffer.from(chunk.subarray(at, end));
        return;
      }
      at = next;
    }
  }

  #skipBody(at: number, end: number): number {
    const skipped = Math.min(this.#skip, end - at);
    this.#skip -= skipped;
    if (this.#skip === 0) this.#answer();
    return at + skipped;
  }

  /** Reads one request and answers it; returns where it ends, or `at` where it is not whole. */
  #request(chunk: Buffer, at: number, end: number): number {
    if (this.#protocol === "unknown") {
      const isHttp2 = beginsHttp2(chunk, at, end);
      if (isHttp2 === null) return at;
      if (isHttp2) return this.#beginHttp2(chunk, at, end);
      const first = chunk[at] as number;
      this.#protocol = first >= ZERO && first <= NINE ? "tcp" : "http";
    }
    const read = this.#protocol === "tcp" ? readLine : readRequest;
    const progress = read(chunk, at, end, asked);
    if (progress === "more") return at;
    if (progress !== "whole" || asked.size > MAX_BODY_BYTES) {
      this.#refuse(progress === "whole" ? "404 Not Found" : progress);
      return end;
    }
    this.#size = asked.size;
    this.#isMarked = asked.isMarked;
    this.#skip = asked.bodyBytes;
    if (this.#skip === 0) this.#answer();
    return asked.end;
  }

  #beginHttp2(chunk: Buffer, at: number, end: number): number {
    this.#h2 = new H2Connection(this.#conn, this.#answers.http2);
    this.#readHttp2(this.#h2, chunk, at + CLIENT_PREFACE.length, end);
    return end;
  }

  #readHttp2(h2: H2Connection, chunk: Buffer, start: number, end: number): void {
    try {
      h2.read(chunk, start, end);
    } catch {
      // What is wrong is seen where it was sent: the load counts what fails.
      this.#isOver = true;
      this.#conn.destroy();
    }
  }

  #answer(): void {
    const { text, rest } = this.#content();
    if (rest === 0) {
      this.#conn.writeText(text);
      return;
    }
    this.#left = rest;
    // Head and body in one system call.
    this.#conn.socket.cork();
    if (text !== "") this.#conn.writeText(text);
    // The rest goes to the socket itself.
    this.#conn.flush();
    this.#writeRest();
    this.#conn.socket.uncork();
  }

  #content(): Answer {
    if (this.#protocol === "tcp") return tcpAnswer(this.#size);
    return this.#isMarked ? this.#answers.marked(this.#size) : this.#answers.http(this.#size);
  }

  /** Nobody changes these bytes, so they are written from where they are. */
  #writeRest(): void {
    while (this.#left > 0) {
      const piece = Math.min(this.#left, BODY.length);
      this.#left -= piece;
      this.#conn.socket.write(BODY.subarray(0, piece));
      if (this.#conn.congested) return;
    }
  }

  #refuse(why: Refusal): void {
    this.#isOver = true;
    if (this.#protocol === "tcp") {
      this.#conn.destroy();
      return;
    }
    const body = `${why}\n`;
    const fields = `Content-Length: ${body.length}\r\nConnection: close\r\n`;
    this.#conn.writeText(`HTTP/1.1 ${why}\r\n${fields}\r\n${body}`);
    this.#conn.end();
  }
}
