import type { Clock } from "../../core/clock.ts";
import type { Catalog } from "../../registry/catalog.ts";
import type { ResourcePlanSettings } from "../../registry/plan-resource.ts";
import type { RefusedResource } from "../../registry/source.ts";
import type { Writer } from "../../registry/writer.ts";

/** The registry that the dashboard shows and changes. */
export interface MeshParts {
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly settings: ResourcePlanSettings;
  /** Time of day, ms since the epoch. */
  readonly wall: Clock;
  /** What fills the registry in its users' place (`Kubernetes: change it there`); null: it takes changes. */
  readonly source: { readonly place: string; refused(): readonly RefusedResource[] } | null;
}
