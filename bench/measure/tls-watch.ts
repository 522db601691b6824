import { needleOfPort, readSocketTable, type SocketRow, wasEstablished } from "./socket-table.ts";

/** Connections that were closed stay visible for 60 s (TIME_WAIT); twice as often is often enough. */
const LOOK_MS = 25_000;

/**
 * Counts the connections that come up on the given ports, each of which is a TLS handshake. It looks at the sockets of
 * network namespaces, where a connection stays visible for a minute after it was closed; one that was reset is missed.
 */
export class TlsWatch {
  readonly #ports: ReadonlySet<number>;
  readonly #pids: readonly number[];
  readonly #known: Set<string>;
  readonly #timer: NodeJS.Timeout;
  #count = 0;
  #failure: unknown = null;

  private constructor(ports: readonly number[], pids: readonly number[], known: Set<string>) {
    this.#ports = new Set(ports);
    this.#pids = pids;
    this.#known = known;
    this.#timer = setInterval(() => void this.#look().catch((error) => this.#fail(error)), LOOK_MS);
    this.#timer.unref();
  }

  /** Begins with what is connected now. `pids`: one process in each of the network namespaces. */
  static async begin(ports: readonly number[], pids: readonly number[]): Promise<TlsWatch> {
    const known = new Set<string>();
    const needles = ports.map(needleOfPort);
    for (const pid of ports.length === 0 ? [] : pids) {
      const rows = await readSocketTable(pid, needles);
      for (const pair of tlsPairs(rows, new Set(ports))) known.add(pair);
    }
    return new TlsWatch(ports, pids, known);
  }

  /** The connections that came up since the beginning. Rejects where the sockets could not be read. */
  async end(): Promise<number> {
    clearInterval(this.#timer);
    await this.#look();
    if (this.#failure !== null) throw this.#failure;
    return this.#count;
  }

  async #look(): Promise<void> {
    if (this.#ports.size === 0) return;
    const needles = [...this.#ports].map(needleOfPort);
    for (const pid of this.#pids) {
      for (const pair of tlsPairs(await readSocketTable(pid, needles), this.#ports)) {
        if (this.#known.has(pair)) continue;
        this.#known.add(pair);
        this.#count++;
      }
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }
}

/** Each connection to one of these ports once, whichever of its ends is in the table. */
export function tlsPairs(rows: readonly SocketRow[], ports: ReadonlySet<number>): Set<string> {
  const pairs = new Set<string>();
  for (const row of rows) {
    if (!wasEstablished(row)) continue;
    if (ports.has(row.localPort)) pairs.add(`${row.remote} ${row.local}`);
    if (ports.has(row.remotePort)) pairs.add(`${row.local} ${row.remote}`);
  }
  return pairs;
}
