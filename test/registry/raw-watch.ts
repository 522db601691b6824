import { once } from "node:events";
import type { TestContext } from "node:test";
import { WebSocket } from "ws";
import { until } from "../helpers/until.ts";
import { dig } from "./setup.ts";

/** A daemon played by hand: keeps what it is sent, and sends what it is told to. */
export class RawWatch {
  readonly socket: WebSocket;
  readonly received: unknown[] = [];
  readonly sizes: number[] = [];
  closeCode = 0;

  private constructor(url: string) {
    this.socket = new WebSocket(`${url.replace("http", "ws")}/v1/mesh/watch`);
    this.socket.on("message", (data: Buffer) => {
      this.sizes.push(data.length);
      this.received.push(JSON.parse(data.toString("utf8")));
    });
    this.socket.on("close", (code) => {
      this.closeCode = code;
    });
    this.socket.on("error", () => {});
  }

  static async open(t: TestContext, url: string): Promise<RawWatch> {
    const watch = new RawWatch(url);
    t.after(() => watch.socket.terminate());
    await once(watch.socket, "open");
    return watch;
  }

  send(message: unknown): void {
    this.socket.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  hello(
    facts: Partial<{
      host: string;
      epoch: string;
      revision: number;
      position: object;
      takes: string[];
    }> = {},
  ): void {
    const defaults = { host: "h1", zone: "", version: "t", epoch: "", revision: 0 };
    this.send({ type: "hello", protocol: 1, ...defaults, ...facts });
  }

  ofType(type: string): unknown[] {
    return this.received.filter((message) => dig(message, "type") === type);
  }

  /** Waits for the nth message of a type, from 0. */
  async next(type: string, index = 0): Promise<unknown> {
    await until(() => this.ofType(type).length > index, {
      what: `message ${type} number ${index}`,
    });
    return this.ofType(type)[index];
  }

  async closed(): Promise<number> {
    await until(() => this.closeCode !== 0, { what: "the watch to be closed" });
    return this.closeCode;
  }
}
