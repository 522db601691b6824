import type { core, ZodError } from "zod";

/** What is wrong with untrusted input, and where: `spec.rules[0].from`. The path is empty for the input as a whole. */
export interface Issue {
  readonly path: string;
  readonly reason: string;
}

/** What is said of a field that a schema does not know. */
export const UNKNOWN_FIELD = "unknown field";

/** All that a schema found, in the words of who wrote the input; one issue for each unknown field. */
export function issuesOf({ issues }: ZodError): Issue[] {
  return issues.flatMap((found) => {
    const issue = deepest(found);
    if (issue.code !== "unrecognized_keys") {
      return [{ path: formatPath(issue.path), reason: plainReason(issue.message) }];
    }
    return issue.keys.map((key) => ({
      path: formatPath([...issue.path, key]),
      reason: UNKNOWN_FIELD,
    }));
  });
}

/** `["endpoints", 0, "port"]` as `endpoints[0].port`; a name that is no plain word stands in quotes: `["a.b/c"]`. */
export function formatPath(path: readonly PropertyKey[]): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (!/^[\w:-]+$/.test(String(part))) text += `[${JSON.stringify(String(part))}]`;
    else text += text === "" ? String(part) : `.${String(part)}`;
  }
  return text;
}

/** The parts of what `formatPath` made. */
export function parsePath(text: string): (string | number)[] {
  return [...text.matchAll(/\[(\d+)\]|\[("(?:[^"\\]|\\.)*")\]|[^.[\]]+/g)].map(
    ([plain, index, quoted]) => {
      if (index !== undefined) return Number(index);
      return quoted === undefined ? plain : String(JSON.parse(quoted));
    },
  );
}

/** The schema library's words for a field that is not there speak of JavaScript; ours do not. */
function plainReason(message: string): string {
  if (/^Invalid input: expected .*, received undefined$/.test(message)) return "missing";
  return message.replace(/^Invalid input: expected/, "expected");
}

/** The issue itself; of a union, the issue that got furthest in any of its forms. */
function deepest(issue: core.$ZodIssue): core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  let best: core.$ZodIssue | undefined;
  for (const [first] of issue.errors) {
    const inner = first === undefined ? undefined : deepest(first);
    if (inner === undefined || (best !== undefined && inner.path.length <= best.path.length)) {
      continue;
    }
    best = inner;
  }
  return best === undefined ? issue : { ...best, path: [...issue.path, ...best.path] };
}
