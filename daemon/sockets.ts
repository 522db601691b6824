import { boundAddress, closeFd, openListener } from "../src/proxy/downstream/libc.ts";

export interface DataPathSocketsOptions {
  /** Number of data-path threads. Each has a socket of its own per port. */
  readonly workers: number;
  /** explicit opens no capture port. */
  readonly mode: "tproxy" | "redirect" | "explicit";
  readonly ports: {
    readonly outbound: number;
    readonly explicit: number;
  };
  /** Address of the explicit proxy port. */
  readonly bind: string;
  /** The capture port listens on `::` (both families) or, without IPv6, on `0.0.0.0`. */
  readonly ipv6: boolean;
  /** Length of each accept queue; what a burst finds while a generation is replaced. */
  readonly backlog?: number;
}

/** The sockets of one worker, as descriptors; null where there is no such port in this mode. */
export interface WorkerSockets {
  readonly outbound: number | null;
  readonly explicit: number;
}

export interface DataPathSockets {
  readonly workers: readonly WorkerSockets[];
  /** The ports that were opened: 0 in the options takes any free one. */
  readonly ports: { readonly outbound: number | null; readonly explicit: number };
  /** Closes all; connections that wait in the queues are reset. */
  close(): void;
}

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
  const { workers, mode, ports, bind, ipv6, backlog = BACKLOG } = options;
  const opened: number[] = [];
  const open = (address: string, port: number, transparent: boolean): number => {
    const fd = openListener({ address, port, transparent, backlog });
    opened.push(fd);
    return fd;
  };
  const capture = ipv6 ? "::" : "0.0.0.0";
  const result: WorkerSockets[] = [];
  const actual = {
    outbound: mode === "explicit" ? null : ports.outbound,
    explicit: ports.explicit,
  };
  try {
    for (let worker = 0; worker < workers; worker++) {
      const outbound =
        actual.outbound === null ? null : open(capture, actual.outbound, mode === "tproxy");
      if (outbound !== null) actual.outbound = boundAddress(outbound).port;
      const explicit = open(bind, actual.explicit, false);
      actual.explicit = boundAddress(explicit).port;
      result.push({ outbound, explicit });
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
