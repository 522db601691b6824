import type { Figures, MeshReport } from "../../../sight/mesh-report.ts";

/** What the page's server answers. Reports and taps have their types in src/sight. */
export type Role = "viewer" | "editor";

/** The page and its registry are of one version, which always tells the total. */
export interface PageReport extends MeshReport {
  readonly total: Figures;
}

export interface Session {
  readonly user: string | null;
  /** Null: not logged in. */
  readonly role: Role | null;
  /** May see live requests of others; absent: with the role editor. */
  readonly mayTap?: boolean;
  readonly loginNeeded: boolean;
  readonly csrf: string;
}

export interface Finding {
  readonly path: string;
  readonly message: string;
  readonly hint?: string | null;
}

export interface ResourceName {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface ConfigResource extends ResourceName {
  readonly revision: number;
  readonly appliedMs: number | null;
  readonly status: "accepted" | "warning" | "refused";
  readonly findings: readonly Finding[];
  /** Its text, or the parsed document. */
  readonly document: unknown;
}

export interface Backend {
  readonly name: string;
  readonly weight: number;
}

export interface Split {
  /** Null: nothing can be split, and `reason` says why. */
  readonly resource: ResourceName | null;
  /** Why there is none, or why the page cannot write it. */
  readonly reason?: string | null;
  /** What will be made: the resource does not exist yet. */
  readonly note?: string;
  /** False: what fills the registry has to be changed, not the registry. */
  readonly writable: boolean;
  readonly backends: readonly Backend[];
  readonly yaml: string;
  readonly revision?: number;
}

/** What applies to one service. */
export interface Applied {
  readonly resources: readonly ResourceName[];
  /** Those that no resource wrote have no name. */
  readonly policies: readonly Partial<ResourceName>[];
}
