import { type Document, isMap, isScalar, isSeq, LineCounter, parseAllDocuments } from "yaml";
import { parsePath } from "../core/schema-issue.ts";

/** A resource and where it stands in its text. Lines count from 1. */
export interface ResourceText {
  readonly resource: unknown;
  readonly line: number;
  /** Line of a field, or of what is nearest to it: `spec.rules[0].from`. */
  lineOf(path: string): number;
}

/** A text that is no YAML. */
export class DocumentError extends Error {
  readonly line: number;

  constructor(line: number, reason: string, cause: unknown) {
    super(reason, { cause });
    this.name = "DocumentError";
    this.line = line;
  }
}

/**
 * Reads YAML (of several documents) or JSON, each document a resource, a list of them, `kind: List`, or a mapping with
 * a list `resources`. Empty documents are left out. Throws {@link DocumentError}.
 */
export function readResources(text: string): ResourceText[] {
  const lines = new LineCounter();
  return parseAllDocuments(text, { lineCounter: lines }).flatMap((document) => {
    const [problem] = document.errors;
    if (problem !== undefined) {
      // The lines after the first draw the place.
      const [said = ""] = problem.message.split("\n");
      const reason = said.replace(/ at line \d+, column \d+:?$/, "");
      throw new DocumentError(lines.linePos(problem.pos[0]).line, reason, problem);
    }
    const content = toValue(document, lines);
    if (content === null || content === undefined) return [];
    return placesOf(content).map(({ resource, path }) => ({
      resource,
      line: lineAt(document, path, lines),
      lineOf: (field: string) => lineAt(document, [...path, ...parsePath(field)], lines),
    }));
  });
}

function toValue(document: Document, lines: LineCounter): unknown {
  try {
    // Aliases are followed a limited number of times, so that a small text does not become a huge value.
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DocumentError(lines.linePos(document.range?.[0] ?? 0).line, reason, cause);
  }
}

/** The resources of a document and the way to each. */
function placesOf(content: unknown): { resource: unknown; path: (string | number)[] }[] {
  const each = (list: readonly unknown[], above: string[]) =>
    list.map((resource, index) => ({ resource, path: [...above, index] }));
  if (Array.isArray(content)) return each(content, []);
  if (typeof content !== "object" || content === null) return [{ resource: content, path: [] }];
  const { kind, items, resources } = content as Record<string, unknown>;
  if (typeof kind === "string" && kind.endsWith("List") && Array.isArray(items)) {
    return each(items, ["items"]);
  }
  // Beside other lists (services, workloads) it is a part of hostmesh's own form.
  if (Array.isArray(resources) && Object.keys(content).length === 1) {
    return each(resources, ["resources"]);
  }
  return [{ resource: content, path: [] }];
}

/** Line of the deepest part of the path that is there: of a field, where its name stands. */
function lineAt(
  document: Document,
  path: readonly (string | number)[],
  lines: LineCounter,
): number {
  let node: unknown = document.contents;
  let offset = rangeOf(node) ?? document.range?.[0] ?? 0;
  for (const part of path) {
    if (isSeq(node) && typeof part === "number") {
      node = node.items[part];
      offset = rangeOf(node) ?? offset;
    } else if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => (isScalar(key) ? String(key.value) : key) === String(part),
      );
      if (pair === undefined) break;
      offset = rangeOf(pair.key) ?? offset;
      node = pair.value;
    } else {
      break;
    }
  }
  return lines.linePos(offset).line;
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node)) return undefined;
  return Array.isArray(node.range) ? Number(node.range[0]) : undefined;
}
