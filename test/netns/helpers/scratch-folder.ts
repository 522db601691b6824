import { chmodSync, existsSync, globSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const PREFIX = "hostmesh-netns-";

/**
 * A folder for the data of one test, which everybody may enter. It is removed by `remove`, else when this
 * process ends; those of processes that were killed are removed by the next call.
 */
export class ScratchFolder {
  readonly path: string;
  readonly remove = (): void => {
    process.off("exit", this.remove);
    rmSync(this.path, { recursive: true, force: true });
  };

  constructor() {
    for (const path of globSync(`${PREFIX}*`, { cwd: tmpdir() })) {
      const pid = path.slice(PREFIX.length).split("-")[0];
      if (!existsSync(`/proc/${pid}`))
        rmSync(join(tmpdir(), path), { recursive: true, force: true });
    }
    this.path = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    chmodSync(this.path, 0o755);
    process.on("exit", this.remove);
  }
}
