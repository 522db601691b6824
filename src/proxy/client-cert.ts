import { canonicalAddress } from "../core/address.ts";
import type { DataEndpoint } from "../core/snapshot.ts";
import type { Origin } from "./context.ts";
import type { WorkloadTable } from "./downstream/identify.ts";

/**
 * The line that tells the application who calls, in Envoy's form (XFCC, `SANITIZE_SET` with the URI). One object serves
 * a connection, whose requests mostly go to the same endpoint.
 */
export class ClientCert {
  readonly #origin: Origin;
  readonly #workloads: WorkloadTable;
  #endpoint: DataEndpoint | null = null;
  #line = "";

  constructor(origin: Origin, workloads: WorkloadTable) {
    this.#origin = origin;
    this.#workloads = workloads;
  }

  /** "" where the caller has proved nothing, or where the endpoint's own host writes the line. */
  lineFor(endpoint: DataEndpoint | null): string {
    if (endpoint === null) return this.#lineForOutside();
    if (endpoint !== this.#endpoint) {
      this.#endpoint = endpoint;
      this.#line = endpoint.local ? clientCertLine(this.#origin, endpoint.identity) : "";
    }
    return this.#line;
  }

  /** A workload of this host may have been called at a port where it has registered nothing. */
  #lineForOutside(): string {
    const { destination } = this.#origin;
    if (destination === null) return "";
    const called = this.#workloads.at(canonicalAddress(destination.host));
    return clientCertLine(this.#origin, called?.identity);
  }
}

/** Within a host there is no certificate, so no Hash. */
function clientCertLine({ identity, peer }: Origin, called = ""): string {
  if (identity === "" || called === "") return "";
  const hash = peer === null ? "" : `Hash=${peer.fingerprint};`;
  return `X-Forwarded-Client-Cert: By=${called};${hash}URI=${identity}\r\n`;
}
