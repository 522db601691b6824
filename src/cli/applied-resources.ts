import { printable } from "../core/terminal.ts";
import { foreignResource } from "../dialects/foreign-kinds.ts";
import { CliError } from "./cli-error.ts";
import { unsendable } from "./resource-batches.ts";
import type { ResourceInFile, UnreadableText } from "./resource-files.ts";
import {
  type AffectedResource,
  type ResourceOutcome,
  resourceOutcomes,
} from "./resource-records.ts";
import type { TerminalOutput } from "./terminal-output.ts";

/** Beyond it those that are skipped are told of by kind. */
const MAX_SKIPPED_LINES = 3;

interface Placed {
  readonly line: number;
  readonly column: number;
}

/** One resource of a file and what became of it. */
export interface Applied extends Omit<ResourceOutcome, "errors" | "warnings">, Placed {
  readonly file: string;
  readonly errors: readonly (ResourceOutcome["errors"][number] & Placed)[];
  readonly warnings: readonly (ResourceOutcome["warnings"][number] & Placed)[];
}

/** Those that are for a mesh, and for each of the others what to say of it. Secrets never leave this machine. */
export function withoutForeign(resources: readonly ResourceInFile[]): {
  readonly own: readonly ResourceInFile[];
  readonly skipped: readonly Applied[];
} {
  const own: ResourceInFile[] = [];
  const skipped: Applied[] = [];
  for (const each of resources) {
    const foreign = foreignResource(each.resource);
    if (foreign === null) own.push(each);
    else {
      const outcome = { ...foreign, result: "skipped" as const, errors: [], warnings: [] };
      skipped.push({ file: each.file, ...each.placeOf(""), ...outcome });
    }
  }
  return { own, skipped };
}

/** What a document that is no YAML comes to. */
export function refusedText({ file, place, reason }: UnreadableText): Applied {
  const errors = [{ path: "", reason, ...place }];
  return { file, ...place, result: "refused", errors, warnings: [] };
}

/** Those that can be sent, and for each of the others why not: it would keep the rest from being taken. */
export function withoutUnsendable(resources: readonly ResourceInFile[]): {
  readonly sendable: readonly ResourceInFile[];
  readonly refused: readonly Applied[];
} {
  const sendable: ResourceInFile[] = [];
  const refused: Applied[] = [];
  for (const each of resources) {
    const issue = unsendable(each.resource);
    if (issue === null) sendable.push(each);
    else {
      const errors = [{ ...issue, ...each.placeOf(issue.path) }];
      const place = { file: each.file, ...each.placeOf("") };
      refused.push({ ...place, result: "refused", errors, warnings: [] });
    }
  }
  return { sendable, refused };
}

/** The registry's answer, with the places in the files. Throws where it is none. */
export function outcomesOf(
  answer: unknown,
  resources: readonly ResourceInFile[],
): { readonly applied: readonly Applied[]; readonly affected: readonly AffectedResource[] } {
  const parsed = resourceOutcomes.safeParse(answer);
  if (!parsed.success || parsed.data.results.length !== resources.length) {
    const said =
      typeof answer === "object" && answer !== null && "error" in answer
        ? String(answer.error)
        : "an answer that is not understood";
    throw new CliError(`the registry refused the request: ${said}`);
  }
  const { results, affected } = parsed.data;
  const applied = results.flatMap((outcome, index) => {
    const from = resources[index];
    if (from === undefined) return [];
    const placed = <T extends { readonly path: string }>(found: readonly T[]) =>
      found.map((each) => ({ ...each, ...from.placeOf(each.path) }));
    const [failures, warnings] = [placed(outcome.errors), placed(outcome.warnings)];
    return [{ file: from.file, ...from.placeOf(""), ...outcome, errors: failures, warnings }];
  });
  return { applied, affected };
}

/** Prints what is left alone and why: each, or by kind where these are many. */
export function reportSkipped(output: TerminalOutput, skipped: readonly Applied[]): void {
  if (skipped.length <= MAX_SKIPPED_LINES) {
    for (const { kind = "", namespace = "", name = "", reason = "" } of skipped) {
      const label = namespace === "" ? name : `${namespace}/${name}`;
      output.line(printable(`${kind} ${label} skipped: ${reason}`));
    }
    return;
  }
  const counts = new Map<string, number>();
  for (const { kind = "", reason = "" } of skipped) {
    const text = `${kind} skipped: ${reason}`;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  for (const [text, count] of counts) output.line(printable(`${count} ${text}`));
}

/** Prints what is wrong with it, with the place of each field. */
export function reportIssues(errors: TerminalOutput, applied: Applied): void {
  const at = ({ line, column, path }: Placed & { readonly path: string }) =>
    `${applied.file}:${line}:${column}: ${path === "" ? "" : `${path}: `}`;
  for (const each of applied.errors) errors.line(printable(`error: ${at(each)}${each.reason}`));
  for (const each of applied.warnings) {
    errors.line(printable(`warning: ${at(each)}${each.message}`));
  }
}

/** Prints what a change has done to resources that it was not about. */
export function reportAffected(
  errors: TerminalOutput,
  affected: readonly AffectedResource[],
): void {
  for (const { kind, namespace, name, warnings } of affected) {
    for (const { path, message } of warnings) {
      const field = path === "" ? "" : `${path}: `;
      errors.line(printable(`warning: now of ${kind} ${namespace}/${name}: ${field}${message}`));
    }
  }
}
