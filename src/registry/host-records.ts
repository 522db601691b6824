import { canonicalAddress, isLoopback } from "../core/address.ts";
import type { Catalog } from "./catalog.ts";
import type { Log } from "./log.ts";
import type { Hello } from "./watch-session.ts";
import type { Writer } from "./writer.ts";

export interface HostRecordsDeps {
  readonly catalog: Catalog;
  readonly writer: Writer;
  /** Address at which other hosts reach daemons on the registry's own host. */
  readonly hostAddress: string;
  readonly log: Log;
}

/** Keeps where each host takes mutual TLS, as its daemon says; a record outlives the watch that brought it. */
export class HostRecords {
  readonly #deps: HostRecordsDeps;

  constructor(deps: HostRecordsDeps) {
    this.#deps = deps;
  }

  /**
   * `peerAddress`: where the watch comes from. A hello without a mesh port changes nothing: others must not go over to
   * plaintext because a daemon has lost its identity; that is for an operator to say.
   */
  greeted({ host: name, mesh }: Hello, peerAddress: string): void {
    const { catalog, writer, log } = this.#deps;
    if (mesh === undefined) {
      if (catalog.get("host", name) === undefined) return;
      const remedy = `enrol it again, or DELETE /v1/mesh/hosts/${name} for plaintext`;
      log.warn("a host takes no mutual TLS any more, and others insist", { host: name, remedy });
      return;
    }
    const address = this.#addressOf(mesh.address, peerAddress);
    if (isLoopback(address)) {
      const remedy = "set mesh.address on that host";
      log.warn("other hosts cannot reach the mesh port of a host", { host: name, address, remedy });
    }
    writer
      .run((draft) => draft.put("host", name, { name, address, meshPort: mesh.port }))
      .catch((error: unknown) => log.error("a host was not recorded", { host: name, error }));
  }

  #addressOf(said: string, peerAddress: string): string {
    if (said !== "") return canonicalAddress(said);
    const seen = canonicalAddress(peerAddress);
    // It came over loopback, so it is on this very host, which others know by another address.
    return isLoopback(seen) ? canonicalAddress(this.#deps.hostAddress) : seen;
  }
}
