import { readFileSync, statSync } from "node:fs";
import { isMap, isScalar, isSeq, LineCounter, type ParsedNode, parseDocument } from "yaml";
import { ConfigError } from "./config-error.ts";

/** A parsed file, and where in it a setting stands. */
export interface ConfigFile {
  readonly value: unknown;
  /** `name:line` of the setting at this path, or of the innermost part of the path that exists. */
  where(path: readonly PropertyKey[]): string;
}

/** A larger file is no configuration. */
const MAX_FILE_BYTES = 1_048_576;

/** Reads a YAML 1.2 file (JSON is YAML). Throws `ConfigError` when it cannot be read or parsed. */
export function readConfigFile(file: string): ConfigFile {
  const lines = new LineCounter();
  const document = parseDocument(readText(file), { lineCounter: lines, prettyErrors: false });
  const [problem] = [...document.errors, ...document.warnings];
  if (problem !== undefined) {
    const { line } = lines.linePos(problem.pos[0]);
    throw new ConfigError(
      [{ name: "", where: `${file}:${line}`, message: problem.message }],
      problem,
    );
  }
  const where = (path: readonly PropertyKey[]): string => {
    const offset = offsetOf(document.contents, path);
    return offset === null ? file : `${file}:${lines.linePos(offset).line}`;
  };
  return { value: plainValue(file, () => document.toJS()) ?? {}, where };
}

function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > MAX_FILE_BYTES) throw new RangeError(`larger than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(file, "utf8");
  } catch (reason) {
    throw unreadable(file, reason);
  }
}

/** Aliases are followed here, a bounded number of times. */
function plainValue(file: string, read: () => unknown): unknown {
  try {
    return read();
  } catch (reason) {
    throw unreadable(file, reason);
  }
}

function unreadable(file: string, reason: unknown): ConfigError {
  const message = reason instanceof Error ? reason.message : String(reason);
  return new ConfigError([{ name: "", where: file, message }], reason);
}

function offsetOf(root: ParsedNode | null, path: readonly PropertyKey[]): number | null {
  let node: unknown = root;
  let offset: number | null = null;
  for (const part of path) {
    const step = stepInto(node, part);
    if (step === null) break;
    offset = isScalar(step.mark) ? (step.mark.range?.[0] ?? offset) : offset;
    node = step.node;
  }
  return offset;
}

/** The part's value, and the node whose line names it: the key, or the item of a list. */
function stepInto(node: unknown, part: PropertyKey): { mark: unknown; node: unknown } | null {
  if (isMap(node)) {
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === part);
    return pair === undefined ? null : { mark: pair.key, node: pair.value };
  }
  if (isSeq(node) && typeof part === "number") {
    return { mark: node.items[part], node: node.items[part] };
  }
  return null;
}
