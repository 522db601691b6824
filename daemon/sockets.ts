import { boundAddress, closeFd, openListener } from "../src/proxy/downstream/libc.ts";

export interface DataPathSocketsOptions {
  /** Number of data-path threads. Each has a socket of its own per port. */
  readonly workers: number;
  /** explicit opens no capture port. */
  readonly mode: "tproxy" | "redirect" | "explicit";
  readonly ports: {
    readonly outbound: number;
    readonly explicit: number;
    /** Capture of plaintext to guarded workloads; opened wherever `outbound` is. */
    readonly inbound: number;
    /** Mutual TLS from other hosts; null: none is taken. */
    readonly mesh: number | null;
  };
  /** Address of the explicit proxy port. */
  readonly bind: string;
  /** Address of the mesh port. */
  readonly meshBind: string;
  /** The capture port listens on `::` (both families) or, without IPv6, on `0.0.0.0`. */
  readonly ipv6: boolean;
  /** Length of each accept queue; what a burst finds while a generation is replaced. */
  readonly backlog?: number;
}

/** The sockets of one worker, as descriptors (or their ports); null where there is no such port in this mode. */
export interface WorkerSockets {
  readonly outbound: number | null;
  readonly explicit: number;
  readonly inbound: number | null;
  readonly mesh: number | null;
}

export interface DataPathSockets {
  readonly workers: readonly WorkerSockets[];
  /** The ports that were opened: 0 in the options takes any free one. */
  readonly ports: WorkerSockets;
  /** Closes all; connections that wait in the queues are reset. */
  close(): void;
}

type Writable<T> = { -readonly [K in keyof T]: T[K] };

const NONE: WorkerSockets = { outbound: null, inbound: null, explicit: -1, mesh: null };

/** The kernel's own cap (net.core.somaxconn) has been 4096 since Linux 5.4. */
const BACKLOG = 4_096;

/**
 * Opens every listening socket of the data path. The guardian keeps them and hands them to each generation
 * by `stdio`, so that the accept queues outlive it; it must never accept from them itself. Every one of
 * them has to be listened on: the kernel spreads connections over all sockets of a port (SO_REUSEPORT),
 * and those of a socket that nobody accepts from wait for ever.
 * @throws Error of `openListener`; what was opened until then is closed.
 */
export function openDataPathSockets(options: DataPathSocketsOptions): DataPathSockets {
  const { workers, backlog = BACKLOG } = options;
  const opened: number[] = [];
  const actual: Writable<WorkerSockets> = { ...NONE };
  const result: WorkerSockets[] = [];
  try {
    for (let worker = 0; worker < workers; worker++) {
      const sockets: Writable<WorkerSockets> = { ...NONE };
      for (const { name, address, port, transparent } of wantedListeners(options)) {
        // The first worker's socket may have taken any free port; the others share it.
        const shared = worker === 0 ? port : (actual[name] ?? port);
        const fd = openListener({ address, port: shared, transparent, backlog });
        opened.push(fd);
        actual[name] = boundAddress(fd).port;
        sockets[name] = fd;
      }
      result.push(sockets);
    }
  } catch (error) {
    for (const fd of opened) closeFd(fd);
    throw error;
  }
  return {
    workers: result,
    ports: actual,
    close: () => {
      for (const fd of opened.splice(0)) closeFd(fd);
    },
  };
}

interface WantedListener {
  readonly name: keyof WorkerSockets;
  readonly address: string;
  readonly port: number;
  readonly transparent: boolean;
}

function wantedListeners(options: DataPathSocketsOptions): WantedListener[] {
  const { mode, ports, bind, meshBind, ipv6 } = options;
  const address = ipv6 ? "::" : "0.0.0.0";
  const transparent = mode === "tproxy";
  const { outbound, inbound, explicit, mesh } = ports;
  const captured: WantedListener[] = [
    { name: "outbound", address, port: outbound, transparent },
    { name: "inbound", address, port: inbound, transparent },
  ];
  return [
    ...(mode === "explicit" ? [] : captured),
    { name: "explicit", address: bind, port: explicit, transparent: false },
    ...(mesh === null
      ? []
      : [{ name: "mesh" as const, address: meshBind, port: mesh, transparent: false }]),
  ];
}
