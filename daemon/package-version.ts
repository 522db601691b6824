import { existsSync, readFileSync } from "node:fs";

/** Version of hostmesh: of package.json one folder up in a checkout, two in the built package. */
export function packageVersion(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    const file = new URL(path, import.meta.url);
    if (!existsSync(file)) continue;
    const parsed: unknown = JSON.parse(readFileSync(file, "utf8"));
    if (typeof parsed !== "object" || parsed === null || !("version" in parsed)) continue;
    if (typeof parsed.version === "string") return parsed.version;
  }
  throw new Error("package.json of hostmesh is missing; reinstall the package");
}
