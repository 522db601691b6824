/**
 * An unmodified application. Arguments: its name, the delay of its answers in ms. On 8080 it answers HTTP
 * with what it saw of the request; on 7000 it says what it has read when the client has ended its side; on
 * 7001 it greets first and then echoes; on 7002 it only echoes.
 */
import { createServer as createHttpServer } from "node:http";
import { createServer, type Socket } from "node:net";
import { canonicalAddress } from "../../../src/core/address.ts";
import { answerLines, machineMs } from "./answer-lines.ts";

const [name = "app", delay = "0"] = process.argv.slice(2);
let delayMs = Number(delay);
let requests = 0;
let lastMs = 0;

const web = createHttpServer((request, response) => {
  requests += 1;
  lastMs = machineMs();
  const remote = canonicalAddress(request.socket.remoteAddress ?? "");
  const { method, url, headers } = request;
  const answer = JSON.stringify({ server: name, remote, method, url, headers });
  response.setHeader("x-served-by", name);
  if (delayMs === 0) response.end(answer);
  else setTimeout(() => response.end(answer), delayMs);
});

function summary(socket: Socket): void {
  let bytes = 0;
  socket.on("data", (chunk) => {
    bytes += chunk.length;
  });
  socket.on("end", () => socket.end(`${name} read ${bytes} bytes`));
}

function greet(socket: Socket): void {
  socket.write(`220 ${name}\r\n`);
  socket.pipe(socket);
}

function opaque(port: number, serve: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    serve(socket);
  });
  return new Promise((resolve) => server.listen(port, "::", resolve));
}

await new Promise<void>((resolve) => web.listen(8_080, "::", resolve));
await opaque(7_000, summary);
await opaque(7_001, greet);
await opaque(7_002, (socket) => socket.pipe(socket));

answerLines((question: { readonly delayMs?: number }) => {
  delayMs = question.delayMs ?? delayMs;
  return { requests, lastMs };
});
