import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { until } from "./until.ts";

/** A raw client: what it received, as latin1, and whether the other side has ended. */
export class RawClient {
  readonly socket: Socket;
  received = "";
  ended = false;
  error: Error | null = null;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.received += chunk.toString("latin1");
    });
    socket.on("end", () => {
      this.ended = true;
    });
    socket.on("error", (error) => {
      this.error = error;
    });
    socket.on("close", () => {
      this.ended = true;
    });
  }

  /** `from`: the loopback address that the client has. */
  static async open(port: number, host = "127.0.0.1", from = "127.0.0.1"): Promise<RawClient> {
    const address = { port, host, localAddress: from };
    const socket = connect({ ...address, allowHalfOpen: true, noDelay: true });
    const client = new RawClient(socket);
    await once(socket, "connect");
    return client;
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Each byte in a segment of its own, as far as the kernel lets it. */
  async sendBytewise(text: string): Promise<void> {
    for (const byte of text) {
      if (this.socket.destroyed) return;
      await new Promise<void>((resolve) => this.socket.write(byte, "latin1", () => resolve()));
      await new Promise(setImmediate);
    }
  }

  async until(pattern: RegExp | string): Promise<string> {
    const matches = () =>
      typeof pattern === "string" ? this.received.includes(pattern) : pattern.test(this.received);
    try {
      await until(matches, { what: `${pattern}` });
    } catch (error) {
      throw new Error(`${(error as Error).message}; received ${JSON.stringify(this.received)}`);
    }
    return this.received;
  }

  async untilEnd(): Promise<string> {
    await until(() => this.ended, { what: `the end after ${JSON.stringify(this.received)}` });
    return this.received;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A server that does with each connection what the test says. Counts what it was sent. */
export interface RawServer {
  readonly port: number;
  /** Everything received, one string per connection. */
  readonly received: string[];
  readonly sockets: Socket[];
  close(): Promise<void>;
}

/** `onData` gets what a connection has received so far, on every read. */
export async function rawServer(
  onData: (socket: Socket, received: string, index: number) => void,
  onConnection: (socket: Socket, index: number) => void = () => undefined,
): Promise<RawServer> {
  const received: string[] = [];
  const sockets: Socket[] = [];
  const server: Server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const index = sockets.push(socket) - 1;
    received[index] = "";
    socket.on("data", (chunk) => {
      received[index] += chunk.toString("latin1");
      onData(socket, received[index] ?? "", index);
    });
    socket.on("end", () => socket.end());
    socket.on("error", () => socket.destroy());
    onConnection(socket, index);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    received,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Answers every request head with the same text. */
export function answering(text: string): (socket: Socket, received: string) => void {
  const seen = new WeakMap<Socket, number>();
  return (socket, received) => {
    const heads = received.split("\r\n\r\n").length - 1;
    for (let done = seen.get(socket) ?? 0; done < heads; done += 1) socket.write(text, "latin1");
    seen.set(socket, heads);
  };
}
