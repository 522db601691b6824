import { setTimeout as delay } from "node:timers/promises";
import { Crew } from "../contestants/crew.ts";
import type { Address } from "../contestants/relay.ts";
import { readMemory, readMemoryWithoutBench } from "../measure/process-reading.ts";
import type { IdleRow, Target } from "../model.ts";
import { ask } from "./ask.ts";
import type { IdleLab } from "./idle-lab.ts";
import { availableBytes, mostThatFit } from "./memory-room.ts";
import { pointsThatFit } from "./points.ts";
import type { SidecarKind } from "./sidecars.ts";

export interface MeasuredSidecars {
  readonly rows: readonly IdleRow[];
  /** Empty, or why there are fewer than asked for. */
  readonly notes: readonly string[];
}

/** Sidecars that start side by side: most of the time of a start is waiting. */
const AT_ONCE = 5;

/** Starts more and more sidecars of a kind, and reads the memory of all of them at each point. */
export async function measureSidecars(
  lab: IdleLab,
  { name, isNode, prepare }: SidecarKind,
  points: readonly number[],
  apps: readonly Address[],
): Promise<MeasuredSidecars> {
  const { bench, site, configFolder, protocol, requests, settleMs, onProgress } = lab;
  const crew = await Crew.open({ bench, site, name, configFolder });
  const start = await prepare(crew, apps);
  const rows: IdleRow[] = [];
  const notes: string[] = [];
  let left = [...points];
  let started = 0;
  for (let point = left.shift(); point !== undefined; point = left.shift()) {
    onProgress(`${name}: ${point} of ${points.at(-1)}`);
    while (started < point) {
      const targets: Target[] = [];
      for (; targets.length < AT_ONCE && started < point; started++) {
        targets.push(await start(started));
      }
      await crew.untilAnswers(protocol, targets);
      for (const target of targets) await ask(target, protocol, requests);
    }
    await delay(settleMs, undefined, { signal: lab.signal });
    const read = isNode ? readMemoryWithoutBench : readMemory;
    const { pssBytes, rssBytes, pids } = await read(crew.proxies.map(({ pid }) => pid));
    const row = { contestant: name, protocol, containers: point, pssBytes, rssBytes };
    rows.push({ ...row, processes: pids.length });
    const wanted = left.at(-1);
    if (rows.length > 1 || wanted === undefined) continue;
    const most = mostThatFit(pssBytes / point, await availableBytes());
    if (most >= wanted) continue;
    left = pointsThatFit(left, most).filter((one) => one > point);
    notes.push(
      `${name}: ${Math.max(point, most)} of ${wanted} were started, as there is no memory for more; nothing is extrapolated`,
    );
  }
  return { rows, notes };
}
