/**
 * A client in a namespace. Without arguments it takes one request per line of standard input,
 * `{ id, address, port, timeoutMs }`, and prints `{ id, ...outcome }`: the first line that came over the
 * connection, or the error and how long it took. With arguments ADDRESS PORT it holds one connection: it
 * prints what comes and sends what it is given, line by line.
 */
import { connect } from "node:net";
import { createInterface } from "node:readline";

interface Request {
  readonly id: number;
  readonly address: string;
  readonly port: number;
  readonly timeoutMs: number;
}

const [heldAddress, heldPort] = process.argv.slice(2);
const input = createInterface({ input: process.stdin });

if (heldAddress === undefined) input.on("line", (line) => dial(JSON.parse(line)));
else hold(heldAddress, Number(heldPort));

function dial({ id, address, port, timeoutMs }: Request): void {
  const start = performance.now();
  const socket = connect({ host: address, port });
  let done = false;
  const finish = (outcome: object): void => {
    socket.destroy();
    if (!done) console.log(JSON.stringify({ id, ...outcome }));
    done = true;
  };
  let text = "";
  socket.setTimeout(timeoutMs, () => finish({ by: "error", code: "TIMEOUT" }));
  socket.on("data", (chunk) => {
    text += chunk.toString();
    if (text.includes("\n")) finish(JSON.parse(text));
  });
  socket.on("error", (error) => {
    const code = "code" in error ? error.code : error.message;
    finish({ by: "error", code, ms: Math.round(performance.now() - start) });
  });
  socket.on("close", () => finish({ by: "error", code: "CLOSED" }));
}

function hold(host: string, port: number): void {
  const socket = connect({ host, port });
  socket.pipe(process.stdout);
  socket.on("error", (error) => console.log(error.message));
  socket.on("close", () => process.exit());
  input.on("line", (line) => socket.write(`${line}\n`));
}
