import type { Catalog } from "./catalog.ts";
import type { CommitFigures } from "./commit-times.ts";
import type { DaemonStatus, RegistryParts } from "./parts.ts";
import type { RecordKind } from "./records.ts";
import type { RequestCounts } from "./request-counts.ts";
import type { QuestionCounts } from "./sight/question-counts.ts";

/** A daemon that has not come closer to the newest revision for so long is behind; one that works on it needs less. */
const BEHIND_MS = 10_000;

const KINDS = ["service", "endpoint", "workload", "host", "check", "resource", "policy"] as const;

/** `refused`: what was written last is not in force. */
export type ResourceState = "accepted" | "warning" | "refused";

/** What a registry has to tell of itself at a moment. */
export interface RegistryFigures {
  readonly revision: number;
  readonly records: Readonly<Partial<Record<RecordKind, number>>>;
  /** By kind of resource. */
  readonly resources: ReadonlyMap<string, Readonly<Record<ResourceState, number>>>;
  /** Daemons that watch this registry. */
  readonly daemons: Readonly<Record<"current" | "behind" | "refusing", number>>;
  /** Null: nobody leads here, or it is not known who. */
  readonly isLeader: boolean | null;
  readonly commits: CommitFigures;
  /** Null: this registry is no authority. */
  readonly identity: {
    readonly issued: number;
    readonly refused: Readonly<Record<string, number>>;
    /** Of the authority that signs. */
    readonly expiresInMs: number;
  } | null;
  /** Where what it serves comes from. `staleMs`: for how long it has not been followed whole. */
  readonly source: { readonly kind: string; readonly isSynced: boolean; readonly staleMs: number };
  readonly requests: ReturnType<RequestCounts["counts"]>;
  readonly questions: ReturnType<QuestionCounts["counts"]>;
}

export interface FiguresParts
  extends Pick<
    RegistryParts,
    "catalog" | "writer" | "source" | "identity" | "daemons" | "storeStatus" | "sight" | "wall"
  > {
  readonly requests: RequestCounts;
}

/** Reads everything anew. */
export function registryFigures(parts: FiguresParts): RegistryFigures {
  const { catalog, writer, identity, sight, requests, wall } = parts;
  const revision = catalog.revision();
  const status = parts.source?.running.status() ?? parts.storeStatus();
  const { isLeader = true } = status;
  return {
    revision,
    records: Object.fromEntries(KINDS.map((kind) => [kind, catalog.count(kind)])),
    resources: resourcesOf(catalog, parts.source),
    daemons: daemonsOf(parts.daemons()),
    isLeader: typeof isLeader === "boolean" ? isLeader : null,
    commits: writer.commits(),
    identity: identity && {
      ...identity.service.counts(),
      expiresInMs: identity.authority.signer().notAfterMs - wall.now(),
    },
    source: sourceOf(status),
    requests: requests.counts(),
    questions: sight.local.counts.counts(),
  };
}

function resourcesOf(
  catalog: Catalog,
  source: RegistryParts["source"],
): Map<string, Record<ResourceState, number>> {
  const found = new Map<string, Record<ResourceState, number>>();
  const count = (kind: string, state: ResourceState) => {
    const counts = found.get(kind) ?? { accepted: 0, warning: 0, refused: 0 };
    counts[state]++;
    found.set(kind, counts);
  };
  const refused = new Set<string>();
  for (const { key } of source?.running.refused() ?? []) {
    refused.add(key);
    count(key.split("/")[1] ?? "", "refused");
  }
  for (const { key, value } of catalog.all("resource")) {
    if (!refused.has(key)) count(value.kind, value.warnings.length > 0 ? "warning" : "accepted");
  }
  return found;
}

function daemonsOf(all: readonly DaemonStatus[]): RegistryFigures["daemons"] {
  const refusing = all.filter(({ refusal }) => refusal !== null).length;
  const behind = all.filter(({ refusal, behindMs }) => refusal === null && behindMs >= BEHIND_MS);
  return { current: all.length - refusing - behind.length, behind: behind.length, refusing };
}

/** Files of its own a registry always has; a cluster and etcd say how they are followed. */
function sourceOf(status: Readonly<Record<string, unknown>>): RegistryFigures["source"] {
  const { kind, synced = true, reachable = true, notSyncedMs: staleMs = 0 } = status;
  const isSynced = synced === true && reachable === true;
  return { kind: String(kind), isSynced, staleMs: Number(staleMs) };
}
