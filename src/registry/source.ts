import type { Clock } from "../core/clock.ts";
import type { Random } from "../core/random.ts";
import type { Issue } from "../core/schema-issue.ts";
import type { Catalog } from "./catalog.ts";
import type { IdentityParts } from "./identity/open-identity.ts";
import type { Log } from "./log.ts";
import type { DaemonStatus } from "./parts.ts";
import type { ResourcePlanSettings, ResourceSettings } from "./plan-resource.ts";
import type { Position } from "./position.ts";
import type { Timers } from "./timers.ts";
import type { Writer } from "./writer.ts";

/** What a source works with. */
export interface SourceParts {
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly settings: ResourcePlanSettings;
  /** Time of day, ms since the epoch. */
  readonly wall: Clock;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Null: this registry is no certificate authority. */
  readonly identity: IdentityParts | null;
  daemons(): readonly DaemonStatus[];
}

/**
 * What fills a registry in place of its HTTP API, such as a Kubernetes cluster. The registry keeps nothing of it on disk, and
 * refuses writes of services, endpoints, workloads and resources: they would be gone with the next start.
 */
export interface Source {
  /** What people change instead: `Kubernetes: change it there (kubectl)`. */
  readonly place: string;
  /** How resources that come from there are read. */
  readonly resources: Partial<ResourceSettings>;
  /**
   * Resolves when the first whole state is written; the ports listen from then on. Rejects where it cannot be had for good,
   * or `stop` is aborted; then nothing is left running.
   */
  start(parts: SourceParts, stop: AbortSignal): Promise<RunningSource>;
}

export interface RefusedResource {
  /** `group/Kind/namespace/name`. */
  readonly key: string;
  readonly issues: readonly Issue[];
}

export interface RunningSource {
  /** Writes nothing any more, from this call on. */
  close(): Promise<void>;
  /** For `/v1/mesh/status`. */
  status(): Readonly<Record<string, unknown>>;
  /** Resources that it brought and that were not taken in their present form. */
  refused(): Iterable<RefusedResource>;
  /** Is everything that it reads being followed now? What was read stays in force where not. */
  isSynced(): boolean;
  /** The newest change of each kind that is written. */
  position(): Position;
  /** Up to where of each kind everything is written; it moves on while nothing changes too. */
  reach(): Position;
}
