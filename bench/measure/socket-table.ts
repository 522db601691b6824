import { readFile } from "node:fs/promises";

/** States of TCP sockets in /proc/PID/net/tcp (include/net/tcp_states.h of Linux). */
export const ESTABLISHED = 1;
const LISTEN = 10;
const SYN_SENT = 2;
const SYN_RECEIVED = 3;
const NEW_SYN_RECEIVED = 12;

/** A row of /proc/PID/net/tcp or tcp6. */
export interface SocketRow {
  /** Address and port in hexadecimal digits, as the kernel writes them. */
  readonly local: string;
  readonly remote: string;
  readonly localPort: number;
  readonly remotePort: number;
  readonly state: number;
  /** 0 where no process holds the socket any more. */
  readonly inode: number;
}

/**
 * Parses /proc/PID/net/tcp (proc(5)). `needles`: only lines that hold one of these texts; most of ten thousand lines need
 * not be taken apart then.
 */
export function parseSocketTable(text: string, needles: readonly string[] = [""]): SocketRow[] {
  return text
    .split("\n")
    .slice(1)
    .filter((line) => line !== "" && needles.some((needle) => line.includes(needle)))
    .map((line) => {
      const [, local = "", remote = "", state = "", , , , , , inode = ""] = line
        .trimStart()
        .split(/\s+/);
      const row = {
        local,
        remote,
        localPort: portOf(local),
        remotePort: portOf(remote),
        state: Number.parseInt(state, 16),
        inode: Number(inode),
      };
      if (Number.isNaN(row.localPort) || Number.isNaN(row.state) || Number.isNaN(row.inode)) {
        throw new Error(`not a row of /proc/net/tcp: ${line.slice(0, 80)}`);
      }
      return row;
    });
}

/** What the line of a socket with such a port holds, at one of its ends. */
export function needleOfPort(port: number): string {
  return `:${port.toString(16).toUpperCase().padStart(4, "0")} `;
}

/** What the line of an established connection holds. */
export const NEEDLE_ESTABLISHED = " 01 ";

/** The TCP sockets of the network namespace in which a process is; `needles` as for {@link parseSocketTable}. */
export async function readSocketTable(
  pid: number,
  needles: readonly string[],
): Promise<SocketRow[]> {
  const rows: SocketRow[] = [];
  for (const name of ["tcp", "tcp6"]) {
    // A kernel without IPv6 has no tcp6.
    const text = await readFile(`/proc/${pid}/net/${name}`, "utf8").catch(absentIsEmpty);
    for (const row of parseSocketTable(text, needles)) rows.push(row);
  }
  return rows;
}

/** True once the handshake of a connection is over, also after it has been closed. */
export function wasEstablished({ state }: SocketRow): boolean {
  return ![LISTEN, SYN_SENT, SYN_RECEIVED, NEW_SYN_RECEIVED].includes(state);
}

function portOf(address: string): number {
  return Number.parseInt(address.slice(address.lastIndexOf(":") + 1), 16);
}

function absentIsEmpty(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "";
  throw error;
}
