import { readdir, readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { goneIsEmpty, treeTimes } from "../lib/cpu-time.ts";
import type { Contestant } from "../model.ts";
import { BatchClient } from "./batch-client.ts";
import type { PerRequest, SyscallCase } from "./cases.ts";
import type { Stage } from "./stage.ts";
import { SyscallCounter } from "./strace.ts";
import { byKind, type Counts } from "./summary.ts";

/** Whose calls are counted: all threads of a proxy, or those threads alone whose names begin so. */
export type Scope = "all threads" | { readonly threadsNamed: string };

export interface Counted {
  readonly calls: PerRequest;
  /** Time of the whole counting, divided by the requests. */
  readonly secondsEach: number;
}

/** System calls of a proxy for one request of a case. */
export async function countCase(
  { upstream }: Stage,
  contestant: Contestant,
  one: SyscallCase,
  scope: Scope,
): Promise<Counted> {
  const client = await openClient(contestant, one);
  try {
    upstream.pauseMs = one.pauseMs;
    const ask = async (batches: number) => {
      for (let batch = 0; batch < batches; batch++) {
        if (one.pauseMs > 0) await delay(one.pauseMs);
        await client.batch();
      }
    };
    await ask(one.warmUpBatches);
    const requests = one.batches * one.connections;
    const start = performance.now();
    const counts = await counted(contestant, scope, () => ask(one.batches));
    const secondsEach = (performance.now() - start) / 1_000 / requests;
    return { calls: shares(counts, requests), secondsEach };
  } finally {
    upstream.pauseMs = 0;
    client.close();
  }
}

/** System calls of a proxy for one second in which nothing happens on its kept connections. */
export async function countIdle(
  contestant: Contestant,
  one: SyscallCase,
  seconds: number,
  scope: Scope,
): Promise<PerRequest> {
  const client = await openClient(contestant, one);
  try {
    await client.batch();
    return shares(await counted(contestant, scope, () => delay(1_000 * seconds)), seconds);
  } finally {
    client.close();
  }
}

function openClient({ targets, name }: Contestant, one: SyscallCase): Promise<BatchClient> {
  const [target] = targets;
  if (target === undefined) throw new Error(`${name} has no target`);
  return BatchClient.open(target, one);
}

async function counted(
  { proxies }: Contestant,
  scope: Scope,
  work: () => Promise<void>,
): Promise<Counts> {
  const trees = await Promise.all(proxies.map(({ pid }) => treeTimes(pid)));
  const pids = trees.flatMap((tree) => tree.pids);
  const counter =
    scope === "all threads"
      ? await SyscallCounter.attach(pids)
      : await SyscallCounter.attach(await threadsNamed(scope.threadsNamed, pids), true);
  try {
    await work();
  } catch (error) {
    await counter.end();
    throw error;
  }
  return counter.end();
}

/** Threads of these processes whose name (proc(5), comm) begins so. Throws where there is none. */
async function threadsNamed(start: string, pids: readonly number[]): Promise<number[]> {
  const found: number[] = [];
  for (const pid of pids) {
    for (const thread of await readdir(`/proc/${pid}/task`)) {
      const file = `/proc/${pid}/task/${thread}/comm`;
      const name = await readFile(file, "utf8").catch(goneIsEmpty);
      if (name.startsWith(start)) found.push(Number(thread));
    }
  }
  if (found.length === 0) throw new Error(`no thread is named ${start}`);
  return found;
}

function shares(counts: Counts, units: number): PerRequest {
  const { read, write, wait, epollCtl, futex, memory, other } = byKind(counts);
  const all = [...counts.values()].reduce((sum, calls) => sum + calls, 0);
  return {
    ...{ read: read / units, write: write / units, wait: wait / units },
    ...{ epollCtl: epollCtl / units, futex: futex / units, memory: memory / units },
    ...{ other: other / units, total: all / units },
  };
}
