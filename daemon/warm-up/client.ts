import { connect, type Socket } from "node:net";
import type { Guest } from "./gate.ts";
import type { Script, Step } from "./script.ts";

export interface ClientDeps {
  readonly port: number;
  /** Address that the client has; undefined: the kernel's choice. */
  readonly localAddress: string | undefined;
  readonly onConnected: (socket: Socket, guest: Guest) => void;
  /** One step has been answered. */
  readonly onStep: () => void;
  /** The script is over, or (with an error) cannot go on. */
  readonly onEnd: (error: Error | null) => void;
}

const HEAD_END = "\r\n\r\n";

/** Runs one script over one connection: sends a step, waits for its reply, sends the next. */
export class Client {
  readonly #deps: ClientDeps;
  readonly #steps: readonly Step[];
  readonly #socket: Socket;
  #at = -1;
  #text = "";
  #ended = false;

  constructor({ guest, steps }: Script, deps: ClientDeps) {
    this.#deps = deps;
    this.#steps = steps;
    const { port, localAddress } = deps;
    const place = { host: "127.0.0.1", port, noDelay: true };
    this.#socket = connect(localAddress === undefined ? place : { ...place, localAddress });
    this.#socket.on("connect", () => {
      deps.onConnected(this.#socket, guest);
      this.#next();
    });
    this.#socket.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#socket.on("error", (error) => this.#end(error));
    this.#socket.on("close", () => this.#end(new Error("the connection ended too early")));
  }

  destroy(): void {
    this.#ended = true;
    this.#socket.destroy();
  }

  #next(): void {
    this.#at += 1;
    this.#text = "";
    const step = this.#steps[this.#at];
    if (step === undefined) this.#end(null);
    else this.#socket.write(step.send, "latin1");
  }

  #take(chunk: Buffer): void {
    const step = this.#steps[this.#at];
    if (step === undefined || this.#ended) return;
    this.#text += chunk.toString("latin1");
    if (!isWhole(this.#text, step.reply)) return;
    this.#deps.onStep();
    if (!this.#ended) this.#next();
  }

  #end(error: Error | null): void {
    if (this.#ended) return;
    this.destroy();
    this.#deps.onEnd(error);
  }
}

/** Enough for what the built-in upstream and the proxy's own failures answer. */
function isWhole(text: string, reply: Step["reply"]): boolean {
  if (typeof reply === "number") return text.length >= reply;
  const headEnd = text.indexOf(HEAD_END);
  if (headEnd === -1) return false;
  if (reply === "head") return true;
  const length = /content-length: (\d+)/i.exec(text.slice(0, headEnd + 2))?.[1];
  if (length === undefined) return text.endsWith(`0${HEAD_END}`);
  return text.length >= headEnd + HEAD_END.length + Number(length);
}
