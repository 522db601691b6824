import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/**
 * What the load of this folder talks to, in this very process: `GET /N` is answered with N bytes, and so is a line
 * `N` without HTTP. Every answer is one write, so that what the proxy does depends on nothing else.
 */
export class TinyUpstream {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #answers = new Map<string, Buffer>();
  /** How long each answer is held back. */
  pauseMs = 0;

  private constructor() {
    this.#server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
  }

  /** Listens on a free port of the loopback address. */
  static async start(): Promise<TinyUpstream> {
    const upstream = new TinyUpstream();
    upstream.#server.listen(0, "127.0.0.1");
    await once(upstream.#server, "listening");
    return upstream;
  }

  get address(): { readonly host: string; readonly port: number } {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it does not listen");
    return { host: address.address, port: address.port };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    let waiting = "";
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("data", (chunk) => {
      waiting += chunk.toString("latin1");
      for (;;) {
        const isLine = /^\d/.test(waiting);
        const end = waiting.indexOf(isLine ? "\n" : "\r\n\r\n");
        if (end === -1) return;
        const asked = waiting.slice(0, end);
        waiting = waiting.slice(end + (isLine ? 1 : 4));
        const answer = this.#answer(isLine ? asked : asked.slice(0, asked.indexOf("\r\n")));
        const close = /^connection: close/im.test(asked);
        const send = () => void (close ? socket.end(answer) : socket.write(answer));
        if (this.pauseMs === 0) send();
        else setTimeout(send, this.pauseMs);
      }
    });
  }

  /** @param asked the line, or the first line of the request */
  #answer(asked: string): Buffer {
    const known = this.#answers.get(asked);
    if (known !== undefined) return known;
    const [, path] = asked.split(" ");
    const bytes = Number.parseInt(path === undefined ? asked : path.slice(1), 10);
    const body = Buffer.alloc(bytes, "x");
    const head = `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${bytes}\r\n\r\n`;
    const answer = path === undefined ? body : Buffer.concat([Buffer.from(head), body]);
    this.#answers.set(asked, answer);
    return answer;
  }
}
