/** Calls by the name of the system call. */
export type Counts = ReadonlyMap<string, number>;

/** A kind of work that a system call does. */
export type Kind = "read" | "write" | "wait" | "epollCtl" | "futex" | "memory" | "other";

const KINDS: Readonly<Record<Exclude<Kind, "other">, readonly string[]>> = {
  read: ["read", "readv", "recvfrom", "recvmsg"],
  write: ["write", "writev", "sendto", "sendmsg", "sendfile", "splice"],
  wait: ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"],
  epollCtl: ["epoll_ctl"],
  futex: ["futex"],
  memory: ["mmap", "munmap", "madvise", "mprotect", "mremap", "brk"],
};

/** One line: share of time, seconds, time a call, calls, errors (or blank), name. */
const LINE = /^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?([a-z_]\w*)\s*$/;

/**
 * Reads what `strace -c` writes. Calls that failed (EAGAIN) are calls too.
 * @throws Error where it is no such summary; a process that called nothing gives an empty one.
 */
export function parseSummary(text: string): Counts {
  const counts = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, calls, name = ""] = LINE.exec(line) ?? [];
    if (calls !== undefined && name !== "total") counts.set(name, Number(calls));
  }
  if (counts.size === 0 && text.trim() !== "") {
    throw new Error(`not a summary of strace: ${text.trim().slice(0, 200)}`);
  }
  return counts;
}

/** Calls of each kind. */
export function byKind(counts: Counts): Record<Kind, number> {
  const sums = { read: 0, write: 0, wait: 0, epollCtl: 0, futex: 0, memory: 0, other: 0 };
  for (const [name, calls] of counts) sums[kindOf(name)] += calls;
  return sums;
}

function kindOf(name: string): Kind {
  for (const [kind, names] of Object.entries(KINDS)) {
    if (names.includes(name)) return kind as Kind;
  }
  return "other";
}
