import { existsSync, readFileSync } from "node:fs";
import * as z from "zod";

const schema = z.object({ name: z.literal("hostmesh"), version: z.string() });

/** Version in package.json: two folders up in a checkout, three in the built package. */
export function packageVersion(): string {
  for (const path of ["../../package.json", "../../../package.json"]) {
    const file = new URL(path, import.meta.url);
    if (!existsSync(file)) continue;
    const parsed = schema.safeParse(JSON.parse(readFileSync(file, "utf8")));
    if (parsed.success) return parsed.data.version;
  }
  throw new Error("package.json of hostmesh is missing; reinstall the package");
}
