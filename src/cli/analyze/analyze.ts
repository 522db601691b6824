import { foreignResource } from "../../dialects/foreign-kinds.ts";
import type { IdentifiedResource } from "../../dialects/translate.ts";
import { TranslationError } from "../../dialects/translator.ts";
import {
  type AnalysisSettings,
  type Analyzed,
  type Candidate,
  found,
  identified,
  type Origin,
  translateAll,
} from "./analyzed.ts";
import { CODES, type Finding, LEVELS } from "./codes.ts";
import { policyFindings } from "./policy-findings.ts";
import { routeFindings } from "./route-findings.ts";
import { type Registered, World } from "./world.ts";

/** A resource to be judged, as it would be applied. */
export interface GivenResource extends Origin {
  readonly content: unknown;
}

/** What the registry holds. */
export interface Holdings extends Registered {
  readonly resources: readonly {
    readonly key: string;
    readonly content: unknown;
    readonly createdMs: number;
  }[];
}

export interface Analysis {
  readonly given: readonly GivenResource[];
  /** Null: offline. */
  readonly holdings: Holdings | null;
  /** What stands in the registry is judged too, where it is not given. */
  readonly judgesHoldings: boolean;
  readonly settings: AnalysisSettings;
  /** Age of what is not applied yet, ms since the epoch. */
  readonly nowMs: number;
}

/** Everything that is to be said of resources before they are applied, or of those that are. */
export function analyze(analysis: Analysis): Finding[] {
  return understand(analysis).findings;
}

/** What resources mean, and all that is to be said of them. */
export interface Understood {
  readonly analyzed: readonly Analyzed[];
  readonly world: World;
  readonly findings: Finding[];
}

export function understand(analysis: Analysis): Understood {
  const { candidates, findings } = candidatesOf(analysis);
  const translated = translateAll(candidates, analysis.settings);
  const world = new World(translated.analyzed, analysis.holdings);
  const among = [...routeFindings(world), ...policyFindings(world)];
  const judged = new Set(candidates.filter(({ isJudged }) => isJudged).map(labelOf));
  const all = [
    ...findings,
    ...translated.findings,
    ...among.filter(({ resource }) => judged.has(resource)),
  ];
  const { analyzed } = translated;
  return { analyzed, world, findings: sorted(withoutRepetition(all)) };
}

const NOWHERE = { line: 0, column: 0 };

function candidatesOf({ given, holdings, judgesHoldings, nowMs }: Analysis): {
  readonly candidates: readonly Candidate[];
  readonly findings: readonly Finding[];
} {
  const byKey = new Map<string, Candidate>();
  for (const { key, content, createdMs } of holdings?.resources ?? []) {
    const resource = identified(content);
    // One that only an earlier version understood: the registry has said so when it was started.
    if (resource instanceof TranslationError) continue;
    const origin = { file: null, placeOf: () => NOWHERE };
    byKey.set(key, { ...origin, resource, createdMs, isJudged: judgesHoldings });
  }
  const findings: Finding[] = [];
  for (const each of given) {
    const resource = ownResource(each, findings);
    if (resource === null) continue;
    const before = byKey.get(resource.key);
    const createdMs = resource.createdMs ?? before?.createdMs ?? nowMs;
    const candidate: Candidate = { ...each, resource, createdMs, isJudged: true };
    if (before?.file !== undefined && before.file !== null) {
      const label = labelOf(candidate);
      const text = `${label} stands in ${before.file}:${before.placeOf("").line} already`;
      findings.push(found({ ...each, label }, "HM0005", "metadata.name", text));
    }
    byKey.set(resource.key, candidate);
  }
  return { candidates: [...byKey.values()], findings };
}

/** Null: it is none of the mesh, which is said. */
function ownResource(given: GivenResource, findings: Finding[]): IdentifiedResource | null {
  const foreign = foreignResource(given.content);
  if (foreign !== null) {
    const label = `${foreign.kind} ${foreign.name}`;
    findings.push(found({ ...given, label }, "HM0004", "kind", foreign.reason));
    return null;
  }
  const resource = identified(given.content);
  if (!(resource instanceof TranslationError)) return resource;
  for (const { path, reason } of resource.issues) {
    findings.push(found({ ...given, label: "" }, "HM0003", path, reason));
  }
  return null;
}

function labelOf({ resource: { name } }: Pick<Candidate, "resource">): string {
  return `${name.kind} ${name.namespace}/${name.name}`;
}

/** One resource often becomes several records of which the same is to be said, and its translator may have said it. */
function withoutRepetition(findings: readonly Finding[]): Finding[] {
  const unique = new Map<string, Finding>();
  for (const each of findings) {
    const { code, file, line, resource, path, message } = each;
    const what = code === "HM0501" ? "" : message;
    const key = JSON.stringify([code, file, line, resource, path, what]);
    if (!unique.has(key)) unique.set(key, each);
  }
  return [...unique.values()];
}

/** By place, as an editor lists them; what stands in no file comes last. */
function sorted(findings: readonly Finding[]): Finding[] {
  return findings.toSorted(
    (a, b) =>
      (a.file ?? "\uffff").localeCompare(b.file ?? "\uffff") ||
      a.line - b.line ||
      a.column - b.column ||
      a.resource.localeCompare(b.resource) ||
      a.code.localeCompare(b.code),
  );
}

/** Is a level at least as high as the threshold? */
export function reaches(level: Finding["level"], threshold: Finding["level"]): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(threshold);
}

/** A text that is no YAML. */
export function unreadable(
  file: string,
  place: { readonly line: number; readonly column: number },
  message: string,
): Finding {
  const { level, remedy } = CODES.HM0001;
  return { code: "HM0001", level, file, ...place, resource: "", path: "", message, remedy };
}
