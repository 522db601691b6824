import { connect, type NetConnectOpts, type Socket } from "node:net";
import { H2Connection } from "../load/h2-connection.ts";
import type { Carrier } from "../load/lane.ts";
import { Requests } from "../load/requests.ts";
import type { LoadJob } from "../model.ts";

/**
 * A process that opens connections to a proxy, sends one request on each, and then keeps them without another byte but
 * those that HTTP/2 itself wants: `node hold-connections.ts HOST PORT AUTHORITY CONNECTIONS [PROTOCOL]`. Prints `held N`
 * once all are answered, and ends with code 1 where one is refused, answered with anything but 200, or closed.
 */
const [, , host = "", port = "0", authority = "", connections = "0", protocol = "http1"] =
  process.argv;
const total = Number(connections);
/** Few enough for any queue of connections to accept. */
const AT_ONCE = 64;
const BODY_BYTES = 16;
const REQUEST = `GET /${BODY_BYTES} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
const buffer = Buffer.allocUnsafeSlow(65_536);
const held: (Socket | Carrier)[] = [];
let begun = 0;
let answered = 0;

function fail(reason: string): never {
  console.error(`connection to ${host}:${port}: ${reason}, after ${answered} of ${total}`);
  process.exit(1);
}

function onAnswer(): void {
  answered++;
  if (begun < total) open();
  else if (answered === total) console.log(`held ${answered}`);
}

/** Answers are small and come whole, or in two pieces at most. */
function readerOf(): (length: number) => boolean {
  let text = "";
  return (length) => {
    text += buffer.toString("latin1", 0, length);
    const end = text.indexOf("\r\n\r\n");
    if (!"HTTP/1.1 200".startsWith(text.slice(0, 12))) fail(`answered ${text.slice(0, 40)}`);
    if (end === -1 || text.length < end + 4 + BODY_BYTES) return true;
    text = "";
    onAnswer();
    return true;
  };
}

function openHttp1(): void {
  const onread = { buffer, callback: readerOf() };
  const options = { host, port: Number(port), noDelay: true, onread };
  const socket = connect(options as NetConnectOpts, () => socket.write(REQUEST));
  held.push(socket);
  socket.on("error", (error) => fail(error.message));
  socket.on("close", () => fail("closed"));
}

function openMultiplexed(spoken: "http2" | "grpc"): void {
  const target = { host, port: Number(port), authority, connect: false };
  const job: LoadJob = {
    ...{ protocol: spoken, targets: [target], connections: 1, bodyBytes: BODY_BYTES, rate: null },
    ...{ seconds: 1, warmUpSeconds: 0, vary: false },
  };
  const request = new Requests(job).next(null);
  const owner = {
    onOpen: ({ lanes }: Carrier) => lanes[0]?.send(request, 0, 0),
    onAnswer,
    onLaneFailed: (_lane: unknown, kind: string) => fail(kind),
    onGone: ({ reason }: Carrier, kind: string | null) => fail(reason || (kind ?? "closed")),
  };
  held.push(new H2Connection(target, 0, job, owner));
}

function open(): void {
  begun++;
  if (protocol === "http2" || protocol === "grpc") openMultiplexed(protocol);
  else openHttp1();
}

for (let first = 0; first < Math.min(AT_ONCE, total); first++) open();
