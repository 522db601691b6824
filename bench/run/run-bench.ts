import { openSite, type Site } from "../lib/site.ts";
import { reportHtml } from "../report/html.ts";
import { machineFacts } from "../result/machine-facts.ts";
import type { BenchResult } from "../result/result.ts";
import { type About, assemble, type Parts } from "./assemble.ts";
import { measureCalls } from "./calls.ts";
import { commitOfCheckout } from "./checkout.ts";
import { measureIdle, measureScale } from "./growth.ts";
import type { BenchOptions } from "./options.ts";
import { type OutFolder, openOutFolder, REPORT_FILE, RESULT_FILE } from "./out-folder.ts";
import { Progress, type ProgressOutput } from "./progress.ts";

export interface BenchIo {
  /** The command line, for the reader of the result. */
  readonly command: string;
  readonly progress: ProgressOutput;
  /** Breaks off; what was measured in whole rounds is still told. */
  readonly signal: AbortSignal;
}

export interface BenchOutcome {
  readonly result: BenchResult;
  /** Paths of what was written. */
  readonly files: { readonly result: string; readonly report: string; readonly config: string };
  /** False where a figure is missing that was asked for: a round or a contestant failed. */
  readonly isValid: boolean;
}

/**
 * Measures what the options ask for, writes result and report, and returns both. Throws a BenchError, or the reason of
 * the signal where that came before anything could be told. Whatever happens, nothing that was started is left.
 */
export async function runBench(options: BenchOptions, io: BenchIo): Promise<BenchOutcome> {
  // First of all: the load average is to be that of the time before.
  const machine = await machineFacts();
  const date = new Date().toISOString();
  const out = await openOutFolder(options.out, options.force);
  const progress = new Progress(io.progress);
  try {
    const { signal } = io;
    const { topology, workers } = options;
    const proxiesApart = proxiesApartOf(options);
    const site = await openSite(topology, { workers, proxiesApart, signal });
    const parts = await measureParts(options, io, { site, out, progress }).finally(() =>
      site.close(),
    );
    const commit = await commitOfCheckout();
    const { command } = io;
    const about = { command, date, commit, machine, siteNote: site.note, folder: out.path };
    return await write(out, options, about, parts);
  } catch (error) {
    await out.discard();
    throw error;
  } finally {
    progress.close();
  }
}

/** The most proxies on one path, where each shall have cores of its own; null: they share. */
function proxiesApartOf({ cores, modes, services, topology, tls }: BenchOptions): number | null {
  if (cores === "shared") return null;
  if (modes.includes("sidecar")) return services + 1;
  return modes.includes("host") && topology === "cross-host" && tls === "on" ? 2 : 1;
}

interface Stage {
  readonly site: Site;
  readonly out: OutFolder;
  readonly progress: Progress;
}

/** One part after the other; what the signal breaks off keeps the parts before it. */
async function measureParts(
  options: BenchOptions,
  { progress: { color }, signal }: BenchIo,
  { site, out, progress }: Stage,
): Promise<Parts> {
  const context = { options, progress, signal, configFolder: out.configPath };
  const brokenOff: string[] = [];
  const part = async <Part>(name: string, isAsked: boolean, work: () => Promise<Part>) => {
    if (!isAsked) return null;
    try {
      if (!signal.aborted) return await work();
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    brokenOff.push(name);
    return null;
  };
  const calls = await part("calls", options.calls, () => measureCalls({ ...context, site, color }));
  const idle = await part("idle", options.idle !== null, () =>
    measureIdle(context, options.idle ?? 0),
  );
  const scale = await part("scale", options.scale, () => measureScale(context));
  if (calls?.isComplete === false) brokenOff.push("calls");
  if (scale?.isComplete === false) brokenOff.push("scale");
  const hasRows = (calls?.samples.length ?? 0) > 0 || idle !== null || scale !== null;
  if (!hasRows) signal.throwIfAborted();
  return {
    ...{ calls, brokenOff: [...new Set(brokenOff)] },
    ...{ idle: idle?.rows ?? [], idleConnections: idle?.connections ?? [] },
    scale: scale?.rows ?? [],
    missing: [...(idle?.missing ?? []), ...(scale?.missing ?? [])],
    notes: [...(idle?.notes ?? []), ...(scale?.notes ?? [])],
  };
}

async function write(
  out: OutFolder,
  options: BenchOptions,
  about: About,
  parts: Parts,
): Promise<BenchOutcome> {
  const result = assemble(options, about, parts);
  const files = {
    result: await out.write(RESULT_FILE, `${JSON.stringify(result, null, 1)}\n`),
    report: await out.write(REPORT_FILE, reportHtml(result)),
    config: out.configPath,
  };
  const isRowValid = ({ marks }: BenchResult["results"][number]) =>
    !marks.includes("invalid") && !marks.includes("rounds-left-out");
  const hasRows = result.results.length + result.idle.length + result.scale.length > 0;
  const isValid =
    hasRows &&
    result.results.every(isRowValid) &&
    result.scale.every(({ problems }) => problems.length === 0) &&
    (parts.calls?.dropped.length ?? 0) === 0;
  return { result, files, isValid };
}
