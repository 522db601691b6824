import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = join(import.meta.dirname, "corpus");

/** Targets that also take the inputs of another. */
const ALSO: Readonly<Record<string, string>> = { session: "frames" };

/** The inputs that are kept for a target, in the order of their names. */
export function corpusOf(target: string): Buffer[] {
  const folder = join(FOLDER, target);
  const files = readdirSync(folder).filter((file) => file.endsWith(".bin"));
  const own = files.sort().map((file) => readFileSync(join(folder, file)));
  const also = ALSO[target];
  return also === undefined ? own : [...own, ...corpusOf(also)];
}
