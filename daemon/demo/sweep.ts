import { StartError } from "../start-error.ts";
import { removeContainers } from "./containers.ts";
import { readDemoState, removeDemoState, stillRuns } from "./state.ts";

export interface SweepOptions {
  readonly stateFile: string;
  /** Takes the registrations of the killed demo back; called only when there was one. */
  readonly deregister: () => Promise<void>;
  /** Containers are looked for only where they can have been made: as root on Linux. */
  readonly privileged: boolean;
  readonly log: (line: string) => void;
}

/**
 * Clears what a demo left that was killed. Throws when that demo still runs: two would fight over the same
 * names. Does nothing, and says nothing, where there is nothing to clear.
 */
export async function sweepDemo(options: SweepOptions): Promise<void> {
  const { stateFile, privileged, log } = options;
  await refuseRunningDemo(stateFile);
  const state = await readDemoState(stateFile);
  const removed: string[] = [];
  for (const mark of state?.processes ?? []) {
    if (!(await stillRuns(mark))) continue;
    process.kill(mark.pid, "SIGKILL");
    removed.push(`process ${mark.pid}`);
  }
  if (privileged) removed.push(...(await removeContainers()));
  if (state !== null) await options.deregister();
  await removeDemoState(stateFile);
  if (removed.length > 0) log(`cleared after a demo that was killed: ${removed.join(", ")}`);
}

/** Throws where the demo that wrote this state still runs, unless it is this process. */
export async function refuseRunningDemo(stateFile: string): Promise<void> {
  const state = await readDemoState(stateFile);
  if (state === null || state.owner.pid === process.pid || !(await stillRuns(state.owner))) return;
  throw new StartError(`another demo runs on this host (process ${state.owner.pid})`, {
    remedy: `stop it first: kill ${state.owner.pid}`,
  });
}
