import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Target } from "../model.ts";

/** A batch that takes longer is a failure: the proxy has stopped. */
const BATCH_MS = 30_000;
const HEAD_LIMIT = 16_384;

/** One kept connection, with at most one question at a time. */
interface Line {
  readonly socket: Socket;
  /** Bytes of the answer that are still to come; null: its head is not whole yet. */
  left: number | null;
  head: string;
}

/**
 * Kept connections that all ask at once and are all waited for before they ask again: the number of requests is
 * exact, and what the proxy finds ready in one turn depends on its own speed alone.
 */
export class BatchClient {
  readonly #lines: Line[] = [];
  readonly #question: string;
  readonly #bodyBytes: number;
  readonly #isHttp: boolean;
  #waiting = 0;
  #settle: ((error: Error | null) => void) | null = null;

  private constructor(question: string, bodyBytes: number, isHttp: boolean) {
    this.#question = question;
    this.#bodyBytes = bodyBytes;
    this.#isHttp = isHttp;
  }

  /** Opens the connections; with a target that says so, each begins with CONNECT. */
  static async open(
    target: Target,
    options: { readonly protocol: "http1" | "tcp"; connections: number; bodyBytes: number },
  ): Promise<BatchClient> {
    const { protocol, connections, bodyBytes } = options;
    const isHttp = protocol === "http1";
    const question = isHttp
      ? `GET /${bodyBytes} HTTP/1.1\r\nHost: ${target.authority}\r\n\r\n`
      : `${bodyBytes}\n`;
    const client = new BatchClient(question, bodyBytes, isHttp);
    try {
      for (let at = 0; at < connections; at++) await client.#dial(target);
    } catch (error) {
      client.close();
      throw error;
    }
    return client;
  }

  /** One question on every connection; resolves when all are answered, whole and right. */
  batch(): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(
        () => this.#finish(new Error(`${this.#waiting} answers did not come`)),
        BATCH_MS,
      );
      this.#settle = (error) => {
        clearTimeout(late);
        if (error === null) resolve();
        else reject(error);
      };
      this.#waiting = this.#lines.length;
      for (const line of this.#lines) {
        line.left = this.#isHttp ? null : this.#bodyBytes;
        line.head = "";
      }
      for (const { socket } of this.#lines) socket.write(this.#question, "latin1");
    });
  }

  close(): void {
    for (const { socket } of this.#lines) {
      socket.removeAllListeners("close");
      socket.destroy();
    }
  }

  async #dial({ host, port, authority, connect: asks }: Target): Promise<void> {
    const socket = connect({ host, port, noDelay: true });
    const line: Line = { socket, left: null, head: "" };
    this.#lines.push(line);
    await once(socket, "connect");
    if (asks) {
      socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
      const [answer] = await once(socket, "data");
      if (!/^HTTP\/1\.1 200 .*\r\n\r\n$/s.test(String(answer))) {
        throw new Error(`CONNECT was answered with ${String(answer).split("\r\n")[0]}`);
      }
    }
    socket.on("error", (error) => this.#finish(error));
    socket.on("close", () => this.#finish(new Error("a connection was closed")));
    socket.on("data", (chunk) => this.#take(line, chunk));
  }

  #take(line: Line, chunk: Buffer): void {
    let bytes = chunk.length;
    if (line.left === null) {
      line.head += chunk.toString("latin1");
      const end = line.head.indexOf("\r\n\r\n");
      if (end === -1 && line.head.length < HEAD_LIMIT) return;
      const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(line.head)?.[1]);
      if (!line.head.startsWith("HTTP/1.1 200 ") || length !== this.#bodyBytes) {
        this.#finish(new Error(`answered with ${line.head.split("\r\n")[0]}`));
        return;
      }
      bytes = line.head.length - end - 4;
      line.left = length;
    }
    line.left -= bytes;
    if (line.left > 0) return;
    if (line.left < 0) this.#finish(new Error("more came than was asked for"));
    this.#waiting -= 1;
    if (this.#waiting === 0) this.#finish(null);
  }

  #finish(error: Error | null): void {
    const settle = this.#settle;
    this.#settle = null;
    settle?.(error);
  }
}
