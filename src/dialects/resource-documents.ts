import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseAllDocuments,
  visit,
  type YAMLMap,
} from "yaml";
import { parsePath } from "../core/schema-issue.ts";

/** Lines and columns count from 1. */
export interface TextPlace {
  readonly line: number;
  readonly column: number;
}

/** A resource and where it stands in its text. */
export interface ResourceText {
  readonly resource: unknown;
  readonly line: number;
  /** Line of a field, or of what is nearest to it: `spec.rules[0].from`. */
  lineOf(path: string): number;
  placeOf(path: string): TextPlace;
}

const TOO_DEEP = "nested too deeply";

/** A text, or one of its documents, that is no YAML. */
export class DocumentError extends Error {
  readonly line: number;
  readonly column: number;

  constructor({ line, column }: TextPlace, reason: string, cause: unknown) {
    super(reason, { cause });
    this.name = "DocumentError";
    this.line = line;
    this.column = column;
  }
}

export interface ReadResources {
  readonly resources: readonly ResourceText[];
  /** What is wrong with the documents that are left out, one for each. */
  readonly problems: readonly DocumentError[];
}

/**
 * Reads YAML (of several documents) or JSON, each document a resource, a list of them, `kind: List`, or a mapping with
 * a list `resources`. Empty documents are left out, and bad ones are by themselves: a text that cannot be parted into
 * documents is one problem. Throws nothing.
 */
export function readResources(text: string): ReadResources {
  const lines = new LineCounter();
  const resources: ResourceText[] = [];
  const problems: DocumentError[] = [];
  const attempt = (read: () => void) => {
    try {
      read();
    } catch (cause) {
      if (!(cause instanceof DocumentError)) throw cause;
      problems.push(cause);
    }
  };
  attempt(() => {
    for (const document of parseDocuments(text, lines)) {
      attempt(() => {
        for (const each of resourcesOf(document, lines)) resources.push(each);
      });
    }
  });
  return { resources, problems };
}

/** Throws {@link DocumentError}. */
function resourcesOf(document: Document, lines: LineCounter): ResourceText[] {
  const [problem] = document.errors;
  if (problem !== undefined) {
    // The lines after the first draw the place.
    const [said = ""] = problem.message.split("\n");
    const plain = said.replace(/ at line \d+, column \d+:?$/, "");
    const reason = plain.startsWith("Maximum call stack") ? TOO_DEEP : plain;
    throw new DocumentError(placeAt(problem.pos[0], lines), reason, problem);
  }
  refuseRepeatedKeys(document, lines);
  const content = toValue(document, lines);
  if (content === null || content === undefined) return [];
  return placesOf(content).map(({ resource, path }) => {
    const placeOf = (field: string) => placeIn(document, [...path, ...parsePath(field)], lines);
    const lineOf = (field: string) => placeOf(field).line;
    return { resource, line: placeIn(document, path, lines).line, lineOf, placeOf };
  });
}

/** The parser's own search compares every key with every other: minutes for a mapping of 100,000 keys. */
function refuseRepeatedKeys(document: Document, lines: LineCounter): void {
  const refuse = (_: unknown, { items }: YAMLMap) => {
    const seen = new Set<unknown>();
    for (const { key } of items) {
      if (!isScalar(key) || key.value === "<<") continue;
      if (seen.has(key.value)) {
        throw new DocumentError(placeAt(rangeOf(key) ?? 0, lines), "Map keys must be unique", key);
      }
      seen.add(key.value);
    }
  };
  try {
    visit(document, { Map: refuse });
  } catch (cause) {
    if (cause instanceof DocumentError) throw cause;
    throw new DocumentError(placeAt(document.range?.[0] ?? 0, lines), reasonOf(cause), cause);
  }
}

/** With merge keys (`<<`), which YAML 1.2 has dropped and kubectl still takes. */
function parseDocuments(text: string, lines: LineCounter): Document[] {
  try {
    return parseAllDocuments(text, { lineCounter: lines, merge: true, uniqueKeys: false });
  } catch (cause) {
    throw new DocumentError({ line: 1, column: 1 }, reasonOf(cause), cause);
  }
}

function toValue(document: Document, lines: LineCounter): unknown {
  try {
    // Aliases are followed a limited number of times, so that a small text does not become a huge value.
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new DocumentError(placeAt(document.range?.[0] ?? 0, lines), reasonOf(cause), cause);
  }
}

/** The parser calls itself for what is nested, and says of its own limits what only its authors understand. */
function reasonOf(cause: unknown): string {
  if (cause instanceof RangeError) return TOO_DEEP;
  return cause instanceof Error ? cause.message : String(cause);
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

/** Place of the deepest part of the path that is there: of a field, where its name stands. */
function placeIn(
  document: Document,
  path: readonly (string | number)[],
  lines: LineCounter,
): TextPlace {
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
  return placeAt(offset, lines);
}

function placeAt(offset: number, lines: LineCounter): TextPlace {
  const { line, col: column } = lines.linePos(offset);
  return { line, column };
}

function rangeOf(node: unknown): number | undefined {
  if (typeof node !== "object" || node === null || !("range" in node)) return undefined;
  return Array.isArray(node.range) ? Number(node.range[0]) : undefined;
}
