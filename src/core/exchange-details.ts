import type { HostPort } from "./address.ts";

/** A head as it came; its fields are cut out of it only when somebody looks. */
export interface HeadFields {
  /** Flat: name, value, name, value. */
  readonly fields: readonly string[];
  readonly bytes: number;
}

/** Both ends of a connection, as a socket knows them while it is open, and for a while longer. */
export interface SocketPlaces {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
}

/** What only some observers of an exchange read. Times are those of the data path's clock in ms; 0: it did not happen. */
export interface ExchangeDetails {
  request: HeadFields | null;
  /** Of the endpoint; null: there was none, or the proxy answered itself. */
  response: HeadFields | null;
  /** Lines of the trailers behind the response. */
  trailers: string;
  /** When the request had come whole. */
  requestEndMs: number;
  /** When the first byte of the response came. */
  firstByteMs: number;
  /** What is said of the failure; "": nothing failed. */
  failure: string;
  /** That a TLS handshake of the client asked for, in a connection that is passed on as it is. */
  serverName: string;
  /** The client's connection; null: it is a stream of another host's. */
  client: SocketPlaces | null;
  upstream: SocketPlaces | null;
  /** Where the client was going; null: to the explicit proxy. */
  destination: HostPort | null;
  /** SPIFFE ID that the caller has proved; "": none. */
  identity: string;
}

/**
 * What is asked of the data path beyond numbers. Whoever observes exchanges sets it, while traffic flows too: what is under
 * way then may have `details` or not.
 */
export interface Watch {
  /** Are the texts of `RequestFacts` wanted? */
  texts: boolean;
  /** Are its `details`? */
  details: boolean;
}
