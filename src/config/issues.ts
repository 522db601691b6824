import type * as z from "zod";
import { editDistance } from "../core/edit-distance.ts";
import type { ConfigProblem } from "./config-error.ts";
import { configLeaves, type Leaf } from "./leaves.ts";
import { configSchema } from "./schema.ts";

type Path = readonly PropertyKey[];

/**
 * Checks the settings of one source alone (all are optional) and says of each problem where it is and
 * what would be right.
 */
export function describeIssues(tree: unknown, where: (path: Path) => string): ConfigProblem[] {
  const { error } = configSchema.safeParse(tree);
  return (error?.issues ?? []).flatMap((issue) => describe(issue, tree, where));
}

/** `; did you mean ...?` where one of the names is close, else nothing. */
export function nearest(name: string, known: readonly string[]): string {
  const ranked = known
    .map((candidate) => ({
      candidate,
      far: editDistance(name.toLowerCase(), candidate.toLowerCase()),
    }))
    .sort((a, b) => a.far - b.far);
  const [best] = ranked;
  return best !== undefined && best.far <= 3 ? `; did you mean ${best.candidate}?` : "";
}

function describe(
  issue: z.core.$ZodIssue,
  tree: unknown,
  where: (path: Path) => string,
): ConfigProblem[] {
  const leaves = configLeaves().flatMap((group) => group.leaves);
  if (issue.code === "unrecognized_keys") {
    const siblings = namesIn(issue.path, leaves);
    return issue.keys.map((key) => {
      const path = [...issue.path, key];
      const message = `there is no such setting${nearest(key, siblings)}`;
      return { name: dotted(path), where: where(path), message };
    });
  }
  const leaf = leaves.find(({ path }) => path.every((part, index) => part === issue.path[index]));
  const right = issue.code === "custom" ? issue.message : (leaf?.expected ?? "settings by name");
  const message = `expected ${right}, found ${shown(valueAt(tree, issue.path))}`;
  return [{ name: dotted(issue.path), where: where(issue.path), message }];
}

/** The keys that may stand at this path. */
function namesIn(path: Path, leaves: readonly Leaf[]): string[] {
  const below = leaves.filter((leaf) => path.every((part, index) => part === leaf.path[index]));
  return [...new Set(below.map((leaf) => leaf.path[path.length] ?? ""))];
}

function dotted(path: Path): string {
  return path.map(String).join(".");
}

function valueAt(tree: unknown, path: Path): unknown {
  let at = tree;
  for (const part of path) {
    if (typeof at !== "object" || at === null) return undefined;
    at = Reflect.get(at, part);
  }
  return at;
}

/** The value as JSON, cut where it is long; text may show that quotes are what is too many. */
function shown(value: unknown): string {
  const text = value === undefined ? "nothing" : String(JSON.stringify(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}
