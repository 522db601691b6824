import { readdir, readFile, readlink } from "node:fs/promises";

/** A TCP port that some process of this network namespace listens on. */
export interface Listener {
  readonly port: number;
  /** Number of the socket, as in /proc/PID/fd. */
  readonly inode: string;
}

const LISTEN_STATE = "0A";

/** Listening ports out of the text of /proc/net/tcp or /proc/net/tcp6. */
export function parseListeners(text: string): Listener[] {
  const listeners: Listener[] = [];
  for (const line of text.split("\n").slice(1)) {
    const fields = line.trim().split(/\s+/);
    const port = Number.parseInt(fields[1]?.split(":")[1] ?? "", 16);
    const inode = fields[9] ?? "";
    if (fields[3] === LISTEN_STATE && port > 0) listeners.push({ port, inode });
  }
  return listeners;
}

/**
 * Who listens where on this host: port to "name (process N)". Sockets of other users' processes have an
 * unknown owner unless this runs as root. Null where there is no /proc.
 */
export async function portOwners(ports: readonly number[]): Promise<Map<number, string> | null> {
  if (process.platform !== "linux") return null;
  const wanted = new Map<string, number>();
  for (const file of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    // Absent where the kernel has no IPv6.
    const text = await readFile(file, "utf8").catch(() => "");
    for (const { port, inode } of parseListeners(text)) {
      if (ports.includes(port)) wanted.set(inode, port);
    }
  }
  const owners = new Map([...wanted.values()].map((port) => [port, "a process of another user"]));
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    for (const inode of await socketsOf(pid)) {
      const port = wanted.get(inode);
      if (port !== undefined) owners.set(port, await describeProcess(pid));
    }
  }
  return owners;
}

/** Processes of others cannot be looked into, and processes end while being looked at: both have no sockets. */
async function socketsOf(pid: string): Promise<string[]> {
  const names = await readdir(`/proc/${pid}/fd`).catch(() => []);
  const links = await Promise.all(
    names.map((name) => readlink(`/proc/${pid}/fd/${name}`).catch(() => "")),
  );
  return links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? []);
}

async function describeProcess(pid: string): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  const words = line.split("\0").filter((word) => word !== "");
  const program = words[0]?.split("/").at(-1) ?? "unknown";
  const script = words.slice(1).find((word) => !word.startsWith("-"));
  const name =
    program === "node" && script !== undefined
      ? `node ${script.split("/").slice(-3).join("/")}`
      : program;
  return `${name} (process ${pid})`;
}
