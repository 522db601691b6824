import {
  createDemoFolder,
  demoDataFolder,
  folderStateFile,
  ownsDemoFolder,
  removeDemoFolder,
} from "./data-folder.ts";
import { demoStateFile } from "./state.ts";
import { refuseRunningDemo, sweepDemo } from "./sweep.ts";

/** What runs before anything is started; `folder` is for tests. */
export interface DemoFolderOptions {
  readonly folder?: string;
  readonly log: (line: string) => void;
}

/**
 * Refuses where another demo runs on this host: the containers' names are the whole host's. `dataDir` is the
 * folder that the user named; null: none.
 */
export async function refuseSecondDemo(dataDir: string | null): Promise<void> {
  await refuseRunningDemo(demoStateFile(true, ""));
  const folder = demoDataFolder();
  if (dataDir !== null) await refuseRunningDemo(folderStateFile(dataDir));
  else if (await ownsDemoFolder(folder)) await refuseRunningDemo(folderStateFile(folder));
}

/** Takes the demo's own data folder, empty. @throws Error where another demo has it, or a stranger. */
export async function claimDemoFolder(options: DemoFolderOptions): Promise<string> {
  const { folder = demoDataFolder() } = options;
  await sweepDemoFolder(options);
  await createDemoFolder(folder);
  return folder;
}

/** Ends what a killed demo left running and removes its folder. @throws Error where that demo still runs. */
export async function sweepDemoFolder({
  folder = demoDataFolder(),
  log,
}: DemoFolderOptions): Promise<void> {
  if (!(await ownsDemoFolder(folder))) return;
  // Its registry goes with the folder: there is nobody to deregister anything from.
  const deregister = async () => undefined;
  await sweepDemo({ stateFile: folderStateFile(folder), privileged: false, deregister, log });
  await removeDemoFolder(folder);
  log(`removed ${folder}, which a demo that was killed left`);
}
