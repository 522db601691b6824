import {
  DEFAULT_FRAME_BYTES,
  DEFAULT_TABLE_BYTES,
  DEFAULT_WINDOW_BYTES,
  FLOW_CONTROL_ERROR,
  MAX_FRAME_BYTES,
  MAX_WINDOW_BYTES,
  PROTOCOL_ERROR,
  SETTINGS_ENABLE_CONNECT_PROTOCOL,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
  SETTINGS_MAX_CONCURRENT_STREAMS,
  SETTINGS_MAX_FRAME_SIZE,
  SETTINGS_MAX_HEADER_LIST_SIZE,
} from "./codes.ts";
import { ConnectionError } from "./errors.ts";
import { SETTINGS_MESH_REQUESTS } from "./mesh-wire.ts";

/** What we allow a peer, and how long we wait for it. Time limits of 0 mean none; all are met to within a second. */
export interface SessionLimits {
  /** Size of a decoded field section, as RFC 9113 section 6.5.2 counts it; announced as SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly headBytes: number;
  /** Field lines of a field section. */
  readonly headerCount: number;
  /** Streams that the peer may have open. More are refused, which is safe to retry. */
  readonly maxStreams: number;
  /**
   * Streams that may come to nothing by the client's doing: reset within a second, for a fault, or above the limit. Each
   * that ends as it should makes up for one, and each second for `wastedPerSecond`. Envoy ends a connection when of 500 requests more than
   * half were reset within a second; nghttp2, and so Node, allows 1,000 resets.
   */
  readonly wastedStreams: number;
  /** 33 is nghttp2's rate, and so Node's. */
  readonly wastedPerSecond: number;
  /** What a stream may send before any of it is consumed. */
  readonly streamWindowBytes: number;
  /** What all streams together may have under way to us. */
  readonly connectionWindowBytes: number;
  /**
   * What all streams together may have received and not consumed. Below it the connection's window is given back as bytes
   * arrive, so that a stream that nobody reads holds its own window only; from here on all wait for the readers, or
   * (`shedsUnread`) the stream with most unread is given up: others share the connection with it.
   */
  readonly unreadBytes: number;
  readonly shedsUnread: boolean;
  /** Of the HPACK table that the peer's field sections are decoded with. */
  readonly tableBytes: number;
  /** Our output that the peer has not taken, from which on a server stops reading its requests. */
  readonly unsentBytes: number;
  /** For the preface with the first SETTINGS, and for a field section from its first frame to its last. */
  readonly headMs: number;
  /** Without a stream. */
  readonly idleMs: number;
  /** A peer, or a stream, that takes none of what waits for it for this long is given up. */
  readonly streamIdleMs: number;
  /** For the acknowledgement of our SETTINGS. */
  readonly settingsMs: number;
  /** After so long without a byte from the peer it is asked for a sign of life by a PING, */
  readonly pingIntervalMs: number;
  /** and given up when it gives none for this long. */
  readonly pingTimeoutMs: number;
  /** Of a server for other hosts: it announces that it takes their requests as streams. */
  readonly meshRequests: boolean;
}

/**
 * Others have: for streams 100 (HAProxy), 128 (nginx) and 250 (Go); for a stream's window 64 KiB (HAProxy) and 1 MiB (Go),
 * for a connection's 1 MiB (Go); for an idle connection 75 s (nginx) and an hour (Envoy). A head is as in HTTP/1.1.
 */
export const DEFAULT_SESSION_LIMITS: SessionLimits = {
  headBytes: 65_536,
  headerCount: 100,
  maxStreams: 256,
  wastedStreams: 500,
  wastedPerSecond: 33,
  streamWindowBytes: 262_144,
  connectionWindowBytes: 1_048_576,
  unreadBytes: 16_777_216,
  shedsUnread: false,
  tableBytes: DEFAULT_TABLE_BYTES,
  unsentBytes: 262_144,
  headMs: 10_000,
  idleMs: 60_000,
  streamIdleMs: 30_000,
  settingsMs: 10_000,
  pingIntervalMs: 0,
  pingTimeoutMs: 10_000,
  meshRequests: false,
};

/** What the SETTINGS of a side say (RFC 9113 section 6.5.2). */
export type SettingsEntries = readonly (readonly [id: number, value: number])[];

/** The SETTINGS that say our limits. Values that are the default of the protocol are left out. */
export function settingsOf(limits: SessionLimits, side: "client" | "server"): SettingsEntries {
  const entries: [number, number][] = [];
  if (limits.tableBytes !== DEFAULT_TABLE_BYTES) {
    entries.push([SETTINGS_HEADER_TABLE_SIZE, limits.tableBytes]);
  }
  // A server that sends it as 0 says nothing; a client forbids pushes, which we do not take.
  if (side === "client") entries.push([SETTINGS_ENABLE_PUSH, 0]);
  else entries.push([SETTINGS_MAX_CONCURRENT_STREAMS, limits.maxStreams]);
  entries.push([SETTINGS_INITIAL_WINDOW_SIZE, limits.streamWindowBytes]);
  entries.push([SETTINGS_MAX_HEADER_LIST_SIZE, limits.headBytes]);
  if (side === "server") entries.push([SETTINGS_ENABLE_CONNECT_PROTOCOL, 1]);
  if (limits.meshRequests) entries.push([SETTINGS_MESH_REQUESTS, 1]);
  return entries;
}

/** The settings of the peer as they stand. */
export class PeerSettings {
  tableBytes: number = DEFAULT_TABLE_BYTES;
  /** Infinity where it has not said a limit. */
  maxStreams: number = Number.POSITIVE_INFINITY;
  windowBytes: number = DEFAULT_WINDOW_BYTES;
  frameBytes: number = DEFAULT_FRAME_BYTES;
  connectProtocol = false;
  /** Takes it requests of other hosts as streams, and not tunnels only? */
  meshRequests = false;
  readonly #isServer: boolean;

  /** `peer`: which side's settings these are. */
  constructor(peer: "client" | "server") {
    this.#isServer = peer === "server";
  }

  /** Takes one setting over; throws a `ConnectionError` for a value that cannot be (RFC 9113 section 6.5.2). */
  apply(id: number, value: number): void {
    switch (id) {
      case SETTINGS_HEADER_TABLE_SIZE:
        this.tableBytes = value;
        break;
      case SETTINGS_ENABLE_PUSH:
        // Only a client may allow pushes; of a server 0 alone is legal.
        if (value > (this.#isServer ? 0 : 1)) throw wrong("ENABLE_PUSH", value);
        break;
      case SETTINGS_MAX_CONCURRENT_STREAMS:
        this.maxStreams = value;
        break;
      case SETTINGS_INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_BYTES) {
          throw new ConnectionError(FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE ${value}`);
        }
        this.windowBytes = value;
        break;
      case SETTINGS_MAX_FRAME_SIZE:
        if (value < DEFAULT_FRAME_BYTES || value > MAX_FRAME_BYTES) {
          throw wrong("MAX_FRAME_SIZE", value);
        }
        this.frameBytes = value;
        break;
      case SETTINGS_ENABLE_CONNECT_PROTOCOL:
        this.#applyConnectProtocol(value);
        break;
      case SETTINGS_MESH_REQUESTS:
        this.meshRequests = value === 1;
        break;
    }
  }

  /** It must not be taken back (RFC 8441 section 3). */
  #applyConnectProtocol(value: number): void {
    if (value > 1 || (value === 0 && this.connectProtocol)) {
      throw wrong("ENABLE_CONNECT_PROTOCOL", value);
    }
    this.connectProtocol = value === 1;
  }
}

function wrong(name: string, value: number): ConnectionError {
  return new ConnectionError(PROTOCOL_ERROR, `${name} ${value}`);
}
