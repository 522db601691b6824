import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as z from "zod";

const ROOT = join(import.meta.dirname, "../..");
const ARGS = "sbom --package-lock-only --omit=dev --sbom-format=cyclonedx --sbom-type=application";
const MAX_BYTES = 64 * 1024 * 1024;

const bill = z.looseObject({ metadata: z.looseObject({ component: z.looseObject({}) }) });

/**
 * What the program is made of, with licences and digests (CycloneDX, of the lock file): `npm sbom`, without the number that
 * it draws, and with the date of the sources in the place of this moment, so that the same sources give the same bytes.
 * @param epochSeconds SOURCE_DATE_EPOCH (reproducible-builds.org); absent: no date.
 */
export function softwareBill(epochSeconds?: string): string {
  const text = listProduction();
  const { serialNumber: _, ...found } = bill.parse(JSON.parse(text));
  const { timestamp: __, tools: ___, component, ...metadata } = found.metadata;
  const date =
    epochSeconds === undefined
      ? {}
      : { timestamp: new Date(Number(epochSeconds) * 1_000).toISOString() };
  // npm takes the folder for the name.
  const own = { ...component, name: "hostmesh" };
  const whole = { ...found, metadata: { ...date, ...metadata, component: own } };
  return `${JSON.stringify(whole, null, 2)}\n`;
}

const lock = z.looseObject({ packages: z.record(z.string(), z.looseObject({})) });

/**
 * npm's list of a project without its development packages. With them, `--omit=dev` also leaves out what the program needs
 * where one of them could use it too (an optional peer).
 */
function listProduction(): string {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-sbom-"));
  try {
    const read = (name: string): unknown => JSON.parse(readFileSync(join(ROOT, name), "utf8"));
    const own = z.looseObject({}).parse(read("package.json"));
    const { packages, ...rest } = lock.parse(read("package-lock.json"));
    const kept = Object.entries(packages)
      .filter(([, { dev }]) => dev !== true)
      .map(([path, { devDependencies: _, ...entry }]) => [path, entry]);
    const write = (name: string, content: object) =>
      writeFileSync(join(folder, name), JSON.stringify(content));
    write("package.json", { ...own, devDependencies: {} });
    write("package-lock.json", { ...rest, packages: Object.fromEntries(kept) });
    return execFileSync("npm", ARGS.split(" "), {
      ...{ cwd: folder, encoding: "utf8", maxBuffer: MAX_BYTES },
      stdio: ["ignore", "pipe", "inherit"],
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (import.meta.main) process.stdout.write(softwareBill(process.env["SOURCE_DATE_EPOCH"]));
