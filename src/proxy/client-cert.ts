import type { DataEndpoint } from "../core/snapshot.ts";
import type { Origin } from "./context.ts";

/**
 * The line that tells the application who calls, in Envoy's form (XFCC, `SANITIZE_SET` with the URI). One object serves
 * a connection, whose requests mostly go to the same endpoint.
 */
export class ClientCert {
  readonly #origin: Origin;
  #endpoint: DataEndpoint | null = null;
  #line = "";

  constructor(origin: Origin) {
    this.#origin = origin;
  }

  /** "" where the caller has proved nothing, or where the endpoint's own host writes the line. */
  lineFor(endpoint: DataEndpoint | null): string {
    if (endpoint === this.#endpoint) return this.#line;
    this.#endpoint = endpoint;
    this.#line = endpoint === null ? "" : clientCertLine(this.#origin, endpoint);
    return this.#line;
  }
}

/** Within a host there is no certificate, so no Hash. */
function clientCertLine({ identity, peer }: Origin, endpoint: DataEndpoint): string {
  if (identity === "" || endpoint.identity === undefined || !endpoint.local) return "";
  const hash = peer === null ? "" : `Hash=${peer.fingerprint};`;
  return `X-Forwarded-Client-Cert: By=${endpoint.identity};${hash}URI=${identity}\r\n`;
}
