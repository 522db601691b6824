import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { BenchError } from "../lib/bench-error.ts";

/** Libraries, logs, listeners, timers and event queues of a proxy, amply. */
const OTHERS = 1_024;

/**
 * The command with room for as many connections to servers as clients have to it; where that cannot be had, for the
 * clients' at least, of which not all have a request in flight. The shell that raises the limit of open files becomes
 * the command. Throws a BenchError where there is no room for the clients.
 */
export async function withOpenFiles(
  command: readonly string[],
  connections: number,
): Promise<readonly string[]> {
  const wanted = 2 * connections + OTHERS;
  const { soft, hard } = parseOpenFiles(
    await readFile("/proc/self/limits", "utf8").catch(() => ""),
  );
  if (wanted <= soft) return command;
  // Only trying tells: root in a container may not raise the hard limit.
  const limit = wanted <= hard || (await canRaise(wanted)) ? wanted : hard;
  const least = connections + OTHERS;
  if (limit < least) {
    throw new BenchError(
      `a proxy of ${connections} connections needs ${least} open files, and ${hard} are allowed: raise that (ulimit -n ${wanted}), or ask for fewer connections`,
    );
  }
  return limit === soft
    ? command
    : ["sh", "-c", 'ulimit -n "$0" && exec "$@"', String(limit), ...command];
}

/** The limits of open files of /proc/PID/limits; where there are none told, none are met. */
export function parseOpenFiles(text: string): { readonly soft: number; readonly hard: number } {
  const [, soft, hard] = /^Max open files\s+(\d+|unlimited)\s+(\d+|unlimited)/m.exec(text) ?? [];
  const limit = (field: string | undefined) =>
    field === undefined || field === "unlimited" ? Number.POSITIVE_INFINITY : Number(field);
  return { soft: limit(soft), hard: limit(hard) };
}

function canRaise(limit: number): Promise<boolean> {
  return promisify(execFile)("sh", ["-c", `ulimit -n ${limit}`]).then(
    () => true,
    () => false,
  );
}
