import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { seeded } from "../../../src/core/random.ts";
import { type Pauses, readBodies } from "./body-reader.ts";
import { type Framing, sendPattern } from "./pattern.ts";

export interface PatternServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * An endpoint that answers `GET /SIZE/FRAMING/SHIFT` with that much of the pattern. The body of any other request
 * is compared with it (`POST /SHIFT`), slowly, and answered with the number of bytes, or with what was wrong.
 */
export async function patternServer(pauses: Pauses): Promise<PatternServer> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    serve(socket, pauses);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

function serve(socket: Socket, pauses: Pauses): void {
  const answer = (text: string) =>
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  const handler = {
    onHead: ({ firstLine }: { firstLine: string }) => {
      const [, size, framing, shift] = /^GET \/(\d+)\/(\w+)\/(\d+) /.exec(firstLine) ?? [];
      if (size === undefined) return Number(/^\w+ \/(\d+) /.exec(firstLine)?.[1] ?? 0);
      const isChunked = framing === "chunked";
      const field = isChunked ? "Transfer-Encoding: chunked" : `Content-Length: ${size}`;
      socket.write(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n`);
      const content = { size: Number(size), framing: framing as Framing, shift: Number(shift) };
      sendPattern(socket, content, seeded(Number(shift)));
      return 0;
    },
    onBody: (bytes: number) => answer(`received ${bytes}`),
    onWrong: (error: unknown) => answer(String(error)),
  };
  readBodies(socket, handler, pauses);
}
