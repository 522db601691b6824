import { setFlagsFromString } from "node:v8";

const FLAG = "--max-semi-space-size";

/**
 * MiB of one half of the young generation of a worker's heap. What is under way when it is swept survives and is copied,
 * so with many requests at once the cost of sweeping depends on how seldom it is done: with 128 streams of HTTP/2 under
 * way 2 MiB take 3.7 us of each request, 8 take 0.8 and 16 take 0.4 (docs/performance.md).
 */
const WORKER_MIB = 4;

/**
 * Threads that begin from now on get the young generation of a worker; that of the calling thread stays as it is. V8 reads
 * the flag for each heap anew. A size that was given to `node` by hand holds for all threads.
 *
 * `execArgv`: of this process, where the first such flag is the daemon's own; `nodeOptions`: NODE_OPTIONS.
 */
export function sizeWorkerHeaps(execArgv: readonly string[], nodeOptions: string): void {
  const given = [...execArgv, ...nodeOptions.split(/\s+/)].map((flag) => flag.replaceAll("_", "-"));
  if (given.filter((flag) => flag.startsWith(FLAG)).length > 1) return;
  setFlagsFromString(`${FLAG}=${WORKER_MIB}`);
}
