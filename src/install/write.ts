import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import * as z from "zod";
import { chartFiles } from "./helm/chart-files.ts";
import { kustomizeFiles } from "./kustomize.ts";
import { monitoringFiles } from "./monitoring/files.ts";

const ROOT = join(import.meta.dirname, "../..");
const FOLDER = join(ROOT, "manifests");
/** Folders below `manifests/` that hold nothing else. */
const MADE = ["base", "overlays", "helm/hostmesh", "monitoring"];

/** Every file below `manifests/` that is made from `src/install`, by its path there. */
export function manifestFiles(version: string): Map<string, string> {
  const chart = [...chartFiles(version)].map(
    ([path, text]) => [`helm/hostmesh/${path}`, text] as const,
  );
  const monitoring = [...monitoringFiles()].map(
    ([path, text]) => [`monitoring/${path}`, text] as const,
  );
  return new Map([...kustomizeFiles(version), ...chart, ...monitoring]);
}

/** Paths of files that are there and should not be, that are missing, or that hold something else. */
export function staleManifests(version: string): string[] {
  const wanted = manifestFiles(version);
  const found = new Map(
    MADE.flatMap((folder) => globSync(`${folder}/**/*.*`, { cwd: FOLDER })).map((path) => [
      path,
      readFileSync(join(FOLDER, path), "utf8"),
    ]),
  );
  const paths = new Set([...wanted.keys(), ...found.keys()]);
  return [...paths].filter((path) => wanted.get(path) !== found.get(path)).sort();
}

/** `node src/install/write.ts --write` makes the files anew; without the flag it fails if they are stale. */
function main(): void {
  const text = readFileSync(join(ROOT, "package.json"), "utf8");
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(text));
  if (process.argv.includes("--write")) {
    for (const folder of MADE) rmSync(join(FOLDER, folder), { recursive: true, force: true });
    for (const [path, content] of manifestFiles(version)) {
      mkdirSync(dirname(join(FOLDER, path)), { recursive: true });
      writeFileSync(join(FOLDER, path), content);
    }
    return;
  }
  const stale = staleManifests(version);
  if (stale.length === 0) return;
  process.stderr.write(`stale below manifests/: ${stale.join(", ")}: run npm run manifests\n`);
  process.exitCode = 1;
}

if (import.meta.main) main();
