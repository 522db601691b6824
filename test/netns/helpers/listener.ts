/**
 * Stands in for the proxy: opens the capture sockets and tells each connection where it wanted to go and
 * where it came from, as one line of JSON. Arguments: mode, port. Prints "ready".
 */
import { createServer } from "node:net";
import { canonicalAddress } from "../../../src/core/address.ts";
import { PROBE_PORT, PROBE_REPLY } from "../../../src/core/capture-probe.ts";
import { localAddressSource, redirectSource } from "../../../src/proxy/downstream/destination.ts";
import { openListener } from "../../../src/proxy/downstream/libc.ts";

const [mode, port] = process.argv.slice(2);
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
  if (destination?.port === PROBE_PORT) socket.end(PROBE_REPLY);
  else socket.end(`${JSON.stringify({ by: "proxy", destination, client })}\n`);
});
server.listen({ fd, backlog: 128 }, () => console.log("ready"));
