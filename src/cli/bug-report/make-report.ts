import { gzipSync } from "node:zlib";
import { redactData, redactText } from "../../core/redact.ts";
import type { Part } from "./collect.ts";
import { NameHashes } from "./name-hashes.ts";
import { namesIn } from "./names-in.ts";
import { type TarEntry, tarOf } from "./tar.ts";

/** Longer files are cut: a report is to be sent by mail. */
const MAX_FILE_BYTES = 16_777_216;
const MAX_REASON = 300;

export interface ReportOptions {
  readonly parts: readonly Part[];
  /** Further parts, which follow from what the others have given. */
  readonly more: (found: ReadonlyMap<string, unknown>) => readonly Part[];
  /** Null: names stay. Else what keeps others from trying names until a hash fits, from what was found. */
  readonly nameKey: ((found: ReadonlyMap<string, unknown>) => Promise<string>) | null;
  readonly atMs: number;
  readonly onProgress: (line: string) => void;
}

export interface BugReport {
  readonly archive: Buffer;
  readonly files: readonly string[];
  /** What was not to be had, and why. */
  readonly missing: readonly string[];
}

/** Reads all parts, takes secrets (and names) out of them and packs them, with a list of what is in it. */
export async function makeReport(options: ReportOptions): Promise<BugReport> {
  const found = new Map<string, unknown>();
  const missing: string[] = [];
  const read = async (parts: readonly Part[]): Promise<void> => {
    for (const { file, what, read: get } of parts) {
      options.onProgress(what);
      try {
        found.set(file, await get());
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        missing.push(`${file}: ${what}: ${reason.slice(0, MAX_REASON)}`);
      }
    }
  };
  await read(options.parts);
  const more = options.more(found);
  await read(more);
  const hashes =
    options.nameKey === null ? null : new NameHashes(namesOf(found), await options.nameKey(found));
  const clean = (value: unknown) => cleanText(value, hashes);
  const entries = [...found].map(([file, value]) => entry(file, clean(value)));
  const whats = [...options.parts, ...more].filter(({ file }) => found.has(file));
  const list = readme(whats, missing, hashes !== null);
  entries.unshift(entry("README.txt", clean(list)));
  return {
    archive: gzipSync(tarOf(entries, options.atMs)),
    files: entries.map(({ name }) => name),
    missing,
  };
}

function cleanText(value: unknown, hashes: NameHashes | null): string {
  if (typeof value === "string") {
    const text = redactText(value);
    return hashes === null ? text : hashes.text(text);
  }
  const data = redactData(value);
  return `${JSON.stringify(hashes === null ? data : hashes.data(data), null, 1)}\n`;
}

function entry(file: string, text: string): TarEntry {
  const content = Buffer.from(text);
  return {
    name: `hostmesh-bug-report/${file}`,
    content: content.length > MAX_FILE_BYTES ? content.subarray(0, MAX_FILE_BYTES) : content,
  };
}

function readme(parts: readonly Part[], missing: readonly string[], hashed: boolean): string {
  return [
    "A report of hostmesh. Look through it before you hand it on.",
    "",
    "Taken out: keys, tokens, passwords, values of headers, parameters and cookies, bodies, metadata and annotations,",
    "outputs of health checks, and whatever looks like one of these. Addresses are kept, and paths of recent errors.",
    hashed
      ? "Names are replaced by hashes that are the same in every report of this mesh."
      : "Names are kept.",
    "",
    ...parts.map(({ file, what }) => `${file.padEnd(34)} ${what}`),
    ...(missing.length === 0 ? [] : ["", "Not to be had:", ...missing]),
    "",
  ].join("\n");
}

/** Every name in what was found. */
function namesOf(found: ReadonlyMap<string, unknown>): Set<string> {
  return namesIn([...found].flatMap(([file, value]) => (OWN_FILES.has(file) ? [] : [value])));
}

/** What has names in these is words of hostmesh. */
const OWN_FILES: ReadonlySet<string> = new Set(["about.json", "settings.json", "check.json"]);
