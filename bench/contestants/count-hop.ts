import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { ESTABLISHED, needleOfPort, readSocketTable } from "../measure/socket-table.ts";
import type { Target } from "../model.ts";

/**
 * A process that holds requests or tunnels under way through a client's proxy and counts the connections to another
 * proxy's port that carry them: `node count-hop.ts FILE SECONDS`, where FILE holds a HopJob. Prints the number. A process of
 * its own, because it runs in the client's network namespace.
 */
export interface HopJob {
  readonly target: Target;
  /** On which the other proxy accepts connections of this one. */
  readonly port: number;
  /** Requests or tunnels to be under way at the same time. */
  readonly atOnce: number;
}

/** Of an answer that nobody reads: more than the buffers between two hosts and a client take. */
const HELD_BYTES = 16 * 1_048_576;

const [, , file = "", seconds = "0"] = process.argv;
const { target, port, atOnce }: HopJob = JSON.parse(await readFile(file, "utf8"));
const late = setTimeout(() => {
  console.error(`${target.authority}: ${atOnce} at once do not come under way and to their end`);
  process.exit(1);
}, Number(seconds) * 1_000);

/** Begins one; resolves when its first bytes have come. */
async function begin(): Promise<Socket> {
  const { host, authority } = target;
  const socket = connect({ host, port: target.port });
  await once(socket, "connect");
  const asked = target.connect
    ? `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
    : `GET /${HELD_BYTES} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`;
  socket.write(asked);
  await once(socket, "readable");
  const head = String(socket.read());
  if (!head.startsWith("HTTP/1.1 200")) throw new Error(`answered ${head.split("\r\n")[0]}`);
  return socket;
}

/** Lets it come to its end, so that the proxies record none that was broken off. */
async function finish(socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closed = once(socket, "close");
  socket.resume();
  if (target.connect) socket.end();
  await closed;
}

const held = await Promise.all(Array.from({ length: atOnce }, begin));
const rows = await readSocketTable(process.pid, [needleOfPort(port)]);
const carrying = rows.filter((row) => row.remotePort === port && row.state === ESTABLISHED);
console.log(carrying.length);
await Promise.all(held.map(finish));
clearTimeout(late);
