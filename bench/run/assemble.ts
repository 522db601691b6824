import { isAbsolute, relative } from "node:path";
import { packageVersion } from "../../daemon/package-version.ts";
import { TOO_FEW_CORES } from "../lib/pins.ts";
import type { Site } from "../lib/site.ts";
import type { Contestant } from "../model.ts";
import type { BenchResult, ContestantFacts } from "../result/result.ts";
import { summarize } from "../result/summarize.ts";
import type { Calls } from "./calls.ts";
import { droppedText } from "./dropped-text.ts";
import type { BenchOptions } from "./options.ts";
import { uniqueMissing } from "./unique-missing.ts";

/** Everything that was measured; what was not asked for, or broken off, is absent. */
export interface Parts extends Pick<BenchResult, "idle" | "idleConnections" | "scale"> {
  readonly calls: Calls | null;
  /** Of idle and scale. */
  readonly missing: BenchResult["missing"];
  /** How these two were measured. */
  readonly notes: BenchResult["notes"];
  /** Parts that the signal cut short, as `calls`. */
  readonly brokenOff: readonly string[];
}

/** Circumstances of a run. */
export interface About extends Pick<BenchResult, "command" | "date" | "commit" | "machine"> {
  readonly siteNote: Site["note"];
  /** Folder of result.json. */
  readonly folder: string;
}

/** From this load average on others had a notable part of the machine. */
const BUSY = 0.3;

/** Joins what was measured and how into the content of result.json. */
export function assemble(options: BenchOptions, about: About, parts: Parts): BenchResult {
  const { calls, idle, idleConnections, scale } = parts;
  const { command, date, commit, machine } = about;
  const contestants = calls?.contestants ?? [];
  const { topology, seconds, repeat: rounds, workers, vary, cores } = options;
  return {
    schema: 1,
    ...{ command, date, commit, machine },
    version: packageVersion(),
    method: { topology, seconds, rounds, workers, vary, cores, site: about.siteNote },
    baseline: calls?.baseline ?? null,
    versions: versionsOf(contestants),
    contestants: contestants.map((one) => factsOf(one, about.folder)),
    missing: uniqueMissing([...(calls?.missing ?? []), ...parts.missing]),
    notes: notesOf(options, about, parts),
    results: summarize(calls?.samples ?? [], contestants, calls?.baseline ?? null, topology),
    ...{ idle, idleConnections, scale },
    samples: calls?.samples ?? [],
  };
}

function versionsOf(contestants: readonly Contestant[]): Record<string, string> {
  const versions: Record<string, string> = { node: process.version };
  for (const { peer, version } of contestants) if (peer !== null) versions[peer] = version;
  return versions;
}

function factsOf(contestant: Contestant, folder: string): ContestantFacts {
  const { name, peer, mode, between, version } = contestant;
  const inFolder = (file: string) => (isAbsolute(file) ? relative(folder, file) : file);
  return { name, peer, mode, between, version, configFiles: contestant.configFiles.map(inFolder) };
}

function notesOf(options: BenchOptions, { machine, siteNote }: About, parts: Parts): string[] {
  const notes: string[] = [];
  if (machine.loadAverage >= BUSY) {
    notes.push(
      `the machine was busy at the start (load average ${machine.loadAverage.toFixed(2)}): figures are preliminary`,
    );
  }
  if (siteNote.includes("not pinned") || siteNote.includes(TOO_FEW_CORES)) notes.push(siteNote);
  if (options.quick) {
    notes.push(
      "--quick: short rounds after little warm-up; differences below a tenth mean nothing",
    );
  }
  for (const part of parts.brokenOff) {
    notes.push(`broken off: ${part} holds only what was complete by then`);
  }
  for (const dropped of parts.calls?.dropped ?? []) notes.push(`failed: ${droppedText(dropped)}`);
  return [...notes, ...parts.notes];
}
