import type { Socket } from "node:net";
import { canonicalAddress, type HostPort } from "../../core/address.ts";
import { originalDestination } from "./libc.ts";

/** Where the client of an accepted connection wanted to go. The capture modes differ only here. */
export interface DestinationSource {
  /** Null where it cannot be told: the connection has ended already, or was never captured. */
  of(socket: Socket): HostPort | null;
}

/** TPROXY: the kernel left the destination alone, so it is the local address of the accepted socket. */
export const localAddressSource: DestinationSource = {
  of({ localAddress, localPort }) {
    if (localAddress === undefined || localPort === undefined) return null;
    return { host: canonicalAddress(localAddress), port: localPort };
  },
};

/** REDIRECT: conntrack remembers the destination. One system call (two for IPv6 sockets) per connection. */
export const redirectSource: DestinationSource = {
  of(socket) {
    const fd = descriptorOf(socket);
    return fd === null ? null : originalDestination(fd);
  },
};

/** Node has no public accessor for the descriptor of a socket; the handle of every version since 0.12 has one. */
function descriptorOf(socket: Socket): number | null {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null) return null;
  const fd: unknown = Reflect.get(handle, "fd");
  return typeof fd === "number" && fd >= 0 ? fd : null;
}
