import { readdirSync, readlinkSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import { treePids } from "./process-reading.ts";
import { ESTABLISHED, NEEDLE_ESTABLISHED, readSocketTable } from "./socket-table.ts";

/**
 * Established TCP connections that the trees of these processes hold; one between two of them counts twice, once for
 * each end. They may be in several network namespaces. Takes some milliseconds for each thousand connections.
 */
export async function countConnections(roots: readonly number[]): Promise<number> {
  const pids = await treePids(roots);
  const held = new Set<number>();
  const tables = new Map<string, number>();
  for (const pid of pids) {
    for (const inode of socketInodes(pid)) held.add(inode);
    tables.set(await readlink(`/proc/${pid}/ns/net`), pid);
  }
  let count = 0;
  for (const pid of tables.values()) {
    for (const { state, inode } of await readSocketTable(pid, [NEEDLE_ESTABLISHED])) {
      if (state === ESTABLISHED && held.has(inode)) count++;
    }
  }
  return count;
}

/**
 * TCP connections opened and accepted so far in the network namespace of this process, by anybody: a connection within
 * the namespace counts twice. The load's own and the accepts of the upstream are to be subtracted from a difference.
 */
export async function tcpOpens(pid: number): Promise<number> {
  return parseTcpOpens(await readFile(`/proc/${pid}/net/snmp`, "utf8"));
}

/** ActiveOpens and PassiveOpens of /proc/PID/net/snmp (RFC 4022). */
export function parseTcpOpens(text: string): number {
  const [names, values] = text
    .split("\n")
    .filter((line) => line.startsWith("Tcp:"))
    .map((line) => line.split(" "));
  const value = (name: string) => Number(values?.[names?.indexOf(name) ?? -1]);
  const opens = value("ActiveOpens") + value("PassiveOpens");
  if (Number.isNaN(opens)) throw new Error("/proc/net/snmp does not tell the TCP opens");
  return opens;
}

/** Synchronous: ten thousand promises would take longer than the links, and hold up nothing less. */
function socketInodes(pid: number): number[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      const inode = /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${name}`))?.[1];
      return inode === undefined ? [] : [Number(inode)];
    } catch (error) {
      // Closed between the listing and the reading.
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
      throw error;
    }
  });
}
