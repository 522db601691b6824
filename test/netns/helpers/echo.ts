/**
 * An application: on each of the given ports it says "app CLIENT" once, then echoes. Prints "ready".
 */
import { createServer } from "node:net";
import { canonicalAddress } from "../../../src/core/address.ts";

const ports = process.argv.slice(2).map(Number);
let waiting = ports.length;
for (const port of ports) {
  const server = createServer((socket) => {
    const client = canonicalAddress(socket.remoteAddress ?? "");
    socket.on("error", () => socket.destroy());
    socket.write(`${JSON.stringify({ by: "app", client })}\n`);
    socket.pipe(socket);
  });
  server.listen({ port, host: "::" }, () => {
    waiting -= 1;
    if (waiting === 0) console.log("ready");
  });
}
