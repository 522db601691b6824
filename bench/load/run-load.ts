import { extname } from "node:path";
import { fileURLToPath } from "node:url";
import { BenchError } from "../lib/bench-error.ts";
import type { Site } from "../lib/site.ts";
import type { Workbench } from "../lib/workbench.ts";
import type { LoadJob, LoadResult } from "../model.ts";

/** The generator's process: `.ts` in a checkout, `.js` in the built package. */
const SCRIPT = fileURLToPath(new URL(`./main${extname(import.meta.url)}`, import.meta.url));
/** For its start, for opening connections, and for answers that come late. */
const EXTRA_MS = 30_000;

/** Each is called after the one before has resolved. */
export interface LoadMoments {
  /**
   * Half of the warm-up is over: the time to look at what takes long to look at. The list of the kernel's sockets takes
   * tens of milliseconds, in which the load's CPU does nothing else. Not called where there is no warm-up.
   */
  loaded?(): void | Promise<void>;
  /** The counted time begins and ends. */
  counting(): void | Promise<void>;
  counted(): void | Promise<void>;
}

type LoadEvent =
  | { readonly event: "loaded" | "counting" | "counted" }
  | { readonly event: "result"; readonly result: LoadResult };

/**
 * Runs the load generator in the client's place. Rejects where it fails, as when no connection can be opened, and with
 * what `on` rejects with.
 */
export async function runLoad(
  bench: Workbench,
  site: Site,
  job: LoadJob,
  on: LoadMoments,
): Promise<LoadResult> {
  const command = site.command(site.a, "load", [process.execPath, SCRIPT]);
  const timeoutMs = (job.warmUpSeconds + job.seconds) * 1e3 + job.connections + EXTRA_MS;
  const results: LoadResult[] = [];
  let told = Promise.resolve();
  const onLine = (line: string): void => {
    told = told.then(() => {
      const event = JSON.parse(line) as LoadEvent;
      if (event.event !== "result") return on[event.event]?.();
      results.push(event.result);
      return;
    });
    // Whoever waits below is told; until then nobody may be surprised by it.
    told.catch(() => undefined);
  };
  const talk = { input: JSON.stringify(job), onLine };
  await bench.run("the load generator", command, timeoutMs, talk);
  await told;
  const [result] = results;
  if (result === undefined) throw new BenchError("the load generator ended without a result");
  return result;
}
