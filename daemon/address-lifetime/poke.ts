import { createSocket } from "node:dgram";

/** The discard service (RFC 863), which nobody offers: what matters is that the kernel asks for the address. */
const DISCARD = 9;

/** Sends a datagram without content: the container's answer to the question for its MAC tells its bridge where it is. */
export function poke(address: string): void {
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  // Where it cannot be sent there is no route, and nothing to be heard of.
  socket.send("", DISCARD, address, () => socket.close());
}
