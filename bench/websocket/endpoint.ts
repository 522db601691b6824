import { createHash } from "node:crypto";
import { createServer as createHttp1 } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";

/**
 * A process that grants every WebSocket it is asked for, and sends back what comes in it, and answers a GET of /N with
 * N bytes: `node endpoint.ts VERSION HOST`. Prints its port.
 */
const [, , version = "1", host = ""] = process.argv;
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const server = version === "2" ? streams() : upgrades();
server.listen({ host, port: 0, backlog: 4_096 }, () => {
  console.log(String((server.address() as AddressInfo).port));
});

function upgrades() {
  const plain = createHttp1(({ url }, response) => response.end(bodyOf(url)));
  return plain.on("upgrade", ({ headers }, socket) => {
    const key = `${headers["sec-websocket-key"]}${GUID}`;
    const accept = createHash("sha1").update(key).digest("base64");
    socket.on("error", () => socket.destroy());
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    socket.pipe(socket);
  });
}

function streams() {
  const settings = { enableConnectProtocol: true, maxConcurrentStreams: 1_000 };
  return createHttp2({ settings }).on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    if (headers[":method"] !== "CONNECT") {
      const body = bodyOf(headers[":path"]);
      stream.respond({ ":status": 200, "content-length": body.length });
      stream.end(body);
      return;
    }
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
}

function bodyOf(path = "/0"): string {
  return "x".repeat(Number(path.slice(1)));
}
