import { execFileSync } from "node:child_process";
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
  const text = execFileSync("npm", ARGS.split(" "), {
    ...{ cwd: ROOT, encoding: "utf8", maxBuffer: MAX_BYTES, stdio: ["ignore", "pipe", "inherit"] },
  });
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

if (import.meta.main) process.stdout.write(softwareBill(process.env["SOURCE_DATE_EPOCH"]));
