import type { BalancerConfig } from "../../core/model.ts";
import type { TextPlace } from "../../dialects/resource-documents.ts";
import { type IdentifiedResource, identify } from "../../dialects/translate.ts";
import {
  type KnownResource,
  type TranslatedRecord,
  type TranslationContext,
  TranslationError,
  type Warning,
} from "../../dialects/translator.ts";
import { CODES, type Code, type Finding } from "./codes.ts";

/** Where a resource comes from. */
export interface Origin {
  /** Null: it stands in the registry. */
  readonly file: string | null;
  placeOf(path: string): TextPlace;
}

/** A resource whose kind is known. */
export interface Candidate extends Origin {
  readonly resource: IdentifiedResource;
  readonly createdMs: number;
  /** Is it to be judged, or only there for others to refer to? */
  readonly isJudged: boolean;
}

/** And what it means. */
export interface Analyzed extends Candidate {
  /** `Kind namespace/name`. */
  readonly label: string;
  readonly records: readonly TranslatedRecord[];
}

export interface AnalysisSettings {
  readonly rootNamespaces: readonly string[];
  readonly trustDomain: string;
  readonly balancer: BalancerConfig;
}

/** Adds a finding about a resource, at a field of it. */
export function found(
  origin: Origin & { readonly label: string },
  code: Code,
  path: string,
  message: string,
): Finding {
  const { level, remedy } = CODES[code];
  const { file, label: resource } = origin;
  return { code, level, file, ...origin.placeOf(path), resource, path, message, remedy };
}

/** Translates all of them, each in view of the others; what cannot be is told and left out. */
export function translateAll(
  candidates: readonly Candidate[],
  settings: AnalysisSettings,
): { readonly analyzed: readonly Analyzed[]; readonly findings: readonly Finding[] } {
  const topics = topicsOf(candidates);
  const findings: Finding[] = [];
  const analyzed = candidates.flatMap((candidate): Analyzed[] => {
    const { translator, content, version, name } = candidate.resource;
    const label = `${name.kind} ${name.namespace}/${name.name}`;
    const origin = { ...candidate, label };
    const context: TranslationContext = {
      ...settings,
      defaultIntention: "deny",
      createdMs: candidate.createdMs,
      about: (topic) => topics.get(topic) ?? [],
    };
    try {
      const { records, warnings } = translator.translate(content, version, name, context);
      if (candidate.isJudged) findings.push(...warnings.map((each) => warned(origin, each)));
      return [{ ...origin, records }];
    } catch (error) {
      if (!(error instanceof TranslationError)) throw error;
      if (candidate.isJudged) findings.push(...refusals(origin, error));
      return [];
    }
  });
  return { analyzed, findings };
}

/** What is wrong with a resource that is refused. */
export function refusals(
  origin: Origin & { readonly label: string },
  { issues }: TranslationError,
): Finding[] {
  return issues.map(({ path, reason }) => found(origin, "HM0002", path, reason));
}

function warned(origin: Origin & { readonly label: string }, { path, message }: Warning): Finding {
  const [, code] = WARNED.find(([pattern]) => pattern.test(message)) ?? [null, "HM0102" as const];
  return found(origin, code, path, message);
}

/** What translators themselves see of what has a code of its own. */
const WARNED: readonly (readonly [RegExp, Code])[] = [
  [/^no effect: /, "HM0101"],
  [/^never reached: /, "HM0501"],
  [/^with weights of 0 /, "HM0502"],
];

/** The resources that speak of each topic, oldest first. */
function topicsOf(candidates: readonly Candidate[]): Map<string, KnownResource[]> {
  const topics = new Map<string, KnownResource[]>();
  for (const { resource, createdMs } of candidates) {
    const { key, content, translator, version } = resource;
    const known = { key, content, createdMs };
    try {
      for (const topic of translator.provides(content, version)) {
        const there = topics.get(topic);
        if (there === undefined) topics.set(topic, [known]);
        else there.push(known);
      }
    } catch (error) {
      // Of an unknown version: its own translation tells.
      if (!(error instanceof TranslationError)) throw error;
    }
  }
  for (const list of topics.values()) {
    list.sort((a, b) => a.createdMs - b.createdMs || (a.key < b.key ? -1 : 1));
  }
  return topics;
}

/** The resource, or why it is none. */
export function identified(content: unknown): IdentifiedResource | TranslationError {
  try {
    return identify(content);
  } catch (error) {
    if (error instanceof TranslationError) return error;
    throw error;
  }
}
