import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import type { Duplex } from "node:stream";

/**
 * A process that opens WebSockets through a proxy, exchanges one message on each, and keeps them without another byte:
 * `node hold.ts VERSION HOST PORT AUTHORITY SOCKETS`. Prints `held N` once all are open, and `alive N` for each line that
 * it reads, once all have answered another message. Ends with code 1 where one is refused or closed.
 */
const [, , version = "1", host = "", port = "0", authority = "", sockets = "0"] = process.argv;
const total = Number(sockets);
const AT_ONCE = 64;
/** Streams of one connection: what the proxy allows at least. */
const STREAMS = 200;
/** "hello", as a client sends it (RFC 6455 section 5.2). */
const MESSAGE = Buffer.from("81850000000068656c6c6f", "hex");
const held: Duplex[] = [];
const sessions: ClientHttp2Session[] = [];

function fail(reason: string): never {
  console.error(`WebSocket through ${host}:${port}: ${reason}, after ${held.length} of ${total}`);
  process.exit(1);
}

/** Sends a message and waits for all of it to come back. */
async function exchange(socket: Duplex): Promise<void> {
  let bytes = 0;
  socket.write(MESSAGE);
  while (bytes < MESSAGE.length) bytes += ((await once(socket, "data")) as [Buffer])[0].length;
}

function keep(socket: Duplex): void {
  held.push(socket);
  socket.on("error", (error) => fail(error.message));
  socket.on("close", () => fail("closed"));
}

async function openUpgrade(): Promise<void> {
  const socket = connect({ host, port: Number(port), noDelay: true });
  keep(socket);
  const key = randomBytes(16).toString("base64");
  socket.write(
    `GET / HTTP/1.1\r\nHost: ${authority}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  );
  let text = "";
  while (!text.includes("\r\n\r\n")) text += String((await once(socket, "data"))[0]);
  if (!text.startsWith("HTTP/1.1 101 ")) fail(`answered ${text.slice(0, 60)}`);
  await exchange(socket);
}

async function openStream(session: ClientHttp2Session): Promise<void> {
  const fields = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http" };
  const more = { ":path": "/", ":authority": authority, "sec-websocket-version": "13" };
  const stream = session.request({ ...fields, ...more }, { endStream: false });
  keep(stream);
  const [head] = await once(stream, "response");
  if (head[":status"] !== 200) fail(`answered ${head[":status"]}`);
  await exchange(stream);
}

async function sessionFor(at: number): Promise<ClientHttp2Session> {
  const index = Math.floor(at / STREAMS);
  const known = sessions[index];
  if (known !== undefined) return known;
  const session = connectHttp2(`http://${host}:${port}`);
  sessions[index] = session;
  session.on("error", (error) => fail(error.message));
  await once(session, "remoteSettings");
  return session;
}

for (let first = 0; first < total; first += AT_ONCE) {
  const count = Math.min(AT_ONCE, total - first);
  if (version === "1") await Promise.all(Array.from({ length: count }, openUpgrade));
  else {
    for (let at = first; at < first + count; at++) await openStream(await sessionFor(at));
  }
}
console.log(`held ${held.length}`);
