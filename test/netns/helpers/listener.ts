/**
 * Stands in for the proxy: opens the capture sockets and tells each connection where it wanted to go and
 * where it came from, as one line of JSON. Arguments: mode, port, who it is ("proxy"), and "hold" for one that
 * echoes from then on. Prints "ready".
 */
import { createServer } from "node:net";
import { canonicalAddress } from "../../../src/core/address.ts";
import { PROBE_PORT, PROBE_REPLY } from "../../../src/core/capture-probe.ts";
import { localAddressSource, redirectSource } from "../../../src/proxy/downstream/destination.ts";
import { openListener } from "../../../src/proxy/downstream/libc.ts";

const [mode, port, by = "proxy", hold] = process.argv.slice(2);
const source = mode === "redirect" ? redirectSource : localAddressSource;
const fd = openListener({
  address: "::",
  port: Number(port),
  transparent: mode === "tproxy",
  backlog: 128,
});
const server = createServer({ allowHalfOpen: true }, (socket) => {
  const destination = source.of(socket);
  const client = canonicalAddress(socket.remoteAddress ?? "");
  socket.on("error", () => socket.destroy());
  const line = `${JSON.stringify({ by, destination, client })}\n`;
  if (destination?.port === PROBE_PORT) socket.end(PROBE_REPLY);
  else if (hold === undefined) socket.end(line);
  else {
    socket.write(line);
    socket.pipe(socket);
  }
});
server.listen({ fd, backlog: 128 }, () => console.log("ready"));
