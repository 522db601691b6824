/**
 * `PORT up|down SIZE length|chunked`: sends or fetches that much of the pattern, and prints what came of it. Reads
 * slowly.
 */
import { connect } from "node:net";
import { seeded } from "../../../src/core/random.ts";
import { readBodies } from "./body-reader.ts";
import { type Framing, sendPattern } from "./pattern.ts";

const [, , port, direction, size, framing] = process.argv;
const PAUSES = { firstMs: 400, everyBytes: 256 * 2 ** 20, thenMs: 50 };

function end(text: string): void {
  process.stdout.write(`${text}\n`, () => process.exit(0));
}

const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });
socket.on("error", (error) => end(String(error)));
socket.on("close", () => end("closed"));
if (direction === "down") {
  socket.write(`GET /${size}/${framing}/0 HTTP/1.1\r\nHost: web\r\n\r\n`);
  const handler = {
    onHead: () => 0,
    onBody: (bytes: number) => end(`received ${bytes}`),
    onWrong: (error: unknown) => end(String(error)),
  };
  readBodies(socket, handler, PAUSES);
} else {
  const field = framing === "chunked" ? "Transfer-Encoding: chunked" : `Content-Length: ${size}`;
  socket.write(`POST /0 HTTP/1.1\r\nHost: web\r\n${field}\r\n\r\n`);
  const content = { size: Number(size), framing: framing as Framing, shift: 0 };
  sendPattern(socket, content, seeded(2));
  let text = "";
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
    const body = /\r\n\r\n(.+)$/s.exec(text)?.[1];
    if (body !== undefined) end(body);
  });
}
