import { connect, type Socket } from "node:net";

/**
 * A process that asks for bodies again and again over opaque connections, and counts: wrk cannot say CONNECT first.
 * `node tunnel-load.ts PORT PATH BODY_BYTES CONNECTIONS SECONDS [CONNECT_TO]`; prints `requests bytes problems` at the end.
 */
const [, , port = "0", path = "/", bodyBytes = "0", connections = "1", seconds = "1", connectTo] =
  process.argv;
const size = Number(bodyBytes);
const READ_BYTES = 262_144;
const REQUEST = `GET ${path} HTTP/1.1\r\nHost: web\r\n\r\n`;
const HEAD_END = "\r\n\r\n";
const sockets: Socket[] = [];
let requests = 0;
let bytes = 0;
let problems = 0;
let isOver = false;

function fail(socket: Socket): void {
  if (!isOver) problems++;
  socket.destroy();
}

/** Bytes of the head, or -1 where it is not a whole head of a success: servers send such small ones at once. */
function headLength(chunk: Buffer): number {
  const end = chunk.indexOf(HEAD_END);
  const isSuccess = chunk.toString("latin1", 0, 12) === "HTTP/1.1 200";
  return end === -1 || !isSuccess ? -1 : end + HEAD_END.length;
}

function open(): void {
  let remaining = 0;
  let isTunnel = connectTo === undefined;
  const socket = connect({
    ...{ port: Number(port), host: "127.0.0.1", noDelay: true },
    onread: {
      buffer: Buffer.allocUnsafe(READ_BYTES),
      callback(length, buffer) {
        const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, length);
        if (!isTunnel) {
          isTunnel = headLength(chunk) === length;
          if (isTunnel) socket.write(REQUEST);
          else fail(socket);
          return isTunnel;
        }
        bytes += length;
        if (remaining === 0) {
          const head = headLength(chunk);
          if (head === -1) fail(socket);
          remaining = head + size;
        }
        remaining -= length;
        if (remaining < 0) fail(socket);
        if (remaining !== 0 || isOver) return true;
        requests++;
        socket.write(REQUEST);
        return true;
      },
    },
  });
  const first = connectTo && `CONNECT ${connectTo} HTTP/1.1\r\nHost: ${connectTo}\r\n\r\n`;
  socket.once("connect", () => socket.write(first ?? REQUEST));
  socket.once("error", () => fail(socket));
  socket.once("end", () => fail(socket));
  sockets.push(socket);
}

for (let count = 0; count < Number(connections); count++) open();
setTimeout(() => {
  isOver = true;
  for (const socket of sockets) socket.destroy();
  console.log(`${requests} ${bytes} ${problems}`);
}, Number(seconds) * 1_000);
