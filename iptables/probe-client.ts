/**
 * The client of the capture probe, run inside the throw-away namespace. Arguments: address, port, time limit
 * in ms. Prints `answer TEXT`, `error CODE` or `timeout`.
 */
import { connect } from "node:net";

const [host = "", port, limitMs] = process.argv.slice(2);
const socket = connect({ host, port: Number(port) });
let answer = "";

function finish(outcome: string): void {
  socket.destroy();
  process.stdout.write(`${outcome}\n`, () => process.exit(0));
}

const timer = setTimeout(() => finish("timeout"), Number(limitMs));
socket.setEncoding("utf8");
socket.on("data", (chunk) => {
  answer += chunk;
});
socket.on("end", () => finish(`answer ${answer.trim()}`));
socket.on("error", (error: NodeJS.ErrnoException) =>
  finish(`error ${error.code ?? error.message}`),
);
socket.on("close", () => clearTimeout(timer));
