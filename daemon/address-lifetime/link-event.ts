import { isIP } from "node:net";
import { canonicalAddress } from "../../src/core/address.ts";

/** What `ip monitor` tells, as far as it says something of a container. */
export type LinkEvent =
  | { readonly kind: "link-gone"; readonly index: number }
  /** The address is reached by this device now. */
  | { readonly kind: "route"; readonly address: string; readonly device: string }
  /** The address answers with this MAC. */
  | { readonly kind: "neighbour"; readonly address: string; readonly mac: string }
  /** A bridge has this MAC behind this port. */
  | { readonly kind: "port"; readonly device: string; readonly mac: string };

const LINK_GONE = /^\[LINK\]Deleted (\d+): /;
const ROUTE = /^\[ROUTE\](\S+) (?:via \S+ )?dev (\S+)/;
const NEIGHBOUR = /^\[NEIGH\](?:(\S+) )?dev (\S+) lladdr ([0-9a-f:]+)/;

/** Reads a line of `ip -o monitor label link route neigh`; null: it is of no concern. */
export function parseLinkEvent(line: string): LinkEvent | null {
  const index = LINK_GONE.exec(line)?.[1];
  if (index !== undefined) return { kind: "link-gone", index: Number(index) };
  const [, target = "", device] = ROUTE.exec(line) ?? [];
  if (device !== undefined) {
    // Of prefixes and of the host's own addresses nothing follows.
    if (isIP(target) === 0) return null;
    return { kind: "route", address: canonicalAddress(target), device };
  }
  const [, neighbour, port = "", mac] = NEIGHBOUR.exec(line) ?? [];
  if (mac === undefined) return null;
  if (neighbour === undefined) return { kind: "port", device: port, mac };
  if (isIP(neighbour) === 0) return null;
  return { kind: "neighbour", address: canonicalAddress(neighbour), mac };
}
