import { connect, type NetConnectOpts, type Socket } from "node:net";

/**
 * A process that opens connections to a proxy, sends one request on each, and then keeps them without another byte:
 * `node hold-connections.ts HOST PORT AUTHORITY CONNECTIONS`. Prints `held N` once all are answered, and ends with code 1
 * where one is refused, answered with anything but 200, or closed.
 */
const [, , host = "", port = "0", authority = "", connections = "0"] = process.argv;
const total = Number(connections);
/** Few enough for any queue of connections to accept. */
const AT_ONCE = 64;
const BODY_BYTES = 16;
const REQUEST = `GET /${BODY_BYTES} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
const buffer = Buffer.allocUnsafeSlow(65_536);
const held: Socket[] = [];
let begun = 0;
let answered = 0;

function fail(reason: string): never {
  console.error(`connection to ${host}:${port}: ${reason}, after ${answered} of ${total}`);
  process.exit(1);
}

/** Answers are small and come whole, or in two pieces at most. */
function readerOf(onAnswer: () => void): (length: number) => boolean {
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

function open(): void {
  begun++;
  const callback = readerOf(() => {
    answered++;
    if (begun < total) open();
    else if (answered === total) console.log(`held ${answered}`);
  });
  const options = { host, port: Number(port), noDelay: true, onread: { buffer, callback } };
  const socket = connect(options as NetConnectOpts, () => socket.write(REQUEST));
  held.push(socket);
  socket.on("error", (error) => fail(error.message));
  socket.on("close", () => fail("closed"));
}

for (let first = 0; first < Math.min(AT_ONCE, total); first++) open();
