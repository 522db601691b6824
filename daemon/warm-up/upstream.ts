import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/** The built-in server that the warm-up's requests lead to. */
export interface Upstream {
  readonly port: number;
  /** Ends its connections; resolves when nothing of it is left. */
  close(): Promise<void>;
}

const HEAD_END = "\r\n\r\n";
const LAST_CHUNK = "0\r\n\r\n";
const FIELDS = "Content-Type: text/plain\r\nServer: warm-up\r\n";

/** Answers by the first segment of the target. */
const ANSWERS: Readonly<Record<string, Buffer>> = {
  small: sized(115),
  medium: sized(10_240),
  large: sized(131_072),
  chunked: Buffer.from(
    `HTTP/1.1 200 OK\r\n${FIELDS}Transfer-Encoding: chunked\r\n\r\n` +
      `40\r\n${"c".repeat(64)}\r\n400\r\n${"d".repeat(1_024)}\r\n${LAST_CHUNK}`,
  ),
  empty: Buffer.from(`HTTP/1.1 204 No Content\r\n${FIELDS}\r\n`),
  missing: Buffer.from(`HTTP/1.1 404 Not Found\r\n${FIELDS}Content-Length: 4\r\n\r\ngone`),
  head: Buffer.from(`HTTP/1.1 200 OK\r\n${FIELDS}Content-Length: 115\r\n\r\n`),
  last: Buffer.from(`HTTP/1.1 200 OK\r\n${FIELDS}Content-Length: 2\r\nConnection: close\r\n\r\nok`),
};

function sized(bytes: number): Buffer {
  return Buffer.from(
    `HTTP/1.1 200 OK\r\n${FIELDS}Content-Length: ${bytes}\r\n\r\n${"b".repeat(bytes)}`,
  );
}

/** A server on loopback that answers HTTP requests as their target says. Rejects where it cannot listen. */
export function webUpstream(): Promise<Upstream> {
  return serve((socket) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      for (let end = requestEnd(text); end !== -1; end = requestEnd(text)) {
        const kind = /^\S+ \/([a-z]*)/.exec(text)?.[1] ?? "";
        socket.write(ANSWERS[kind] ?? (ANSWERS["missing"] as Buffer));
        text = text.slice(end);
      }
    });
  });
}

/** A server on loopback that sends back whatever comes. Rejects where it cannot listen. */
export function echoUpstream(): Promise<Upstream> {
  return serve((socket) => {
    socket.on("data", (chunk: Buffer) => void socket.write(chunk));
  });
}

/** Where the first request ends, or -1 while it has not. Enough for what the warm-up itself sends. */
function requestEnd(text: string): number {
  const headEnd = text.indexOf(HEAD_END);
  if (headEnd === -1) return -1;
  const body = headEnd + HEAD_END.length;
  const head = text.slice(0, body).toLowerCase();
  if (head.includes("transfer-encoding: chunked")) {
    const last = text.indexOf(LAST_CHUNK, body);
    return last === -1 ? -1 : last + LAST_CHUNK.length;
  }
  const length = Number(/content-length: (\d+)/.exec(head)?.[1] ?? 0);
  return text.length < body + length ? -1 : body + length;
}

async function serve(onSocket: (socket: Socket) => void): Promise<Upstream> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    onSocket(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port on loopback");
  const close = async (): Promise<void> => {
    const closed = once(server, "close");
    server.close();
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return { port: address.port, close };
}
