import type { Peer } from "../model.ts";
import { findEnvoy } from "./envoy-program.ts";
import { findHaproxy } from "./haproxy-program.ts";
import { findNginx } from "./nginx-program.ts";
import type { Lack, Program } from "./program.ts";

/** The program of a peer as it is on this machine, or what is wrong with it. */
export function findPeer(
  peer: Exclude<Peer, "hostmesh">,
  envoyBinary: string | null,
): Promise<Program | Lack> {
  switch (peer) {
    case "nginx":
      return findNginx();
    case "haproxy":
      return findHaproxy();
    case "envoy":
      return findEnvoy(envoyBinary);
  }
}
