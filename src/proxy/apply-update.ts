import type { DataUpdate } from "../core/snapshot.ts";
import type { WorkloadChange } from "./downstream/identify.ts";
import { placeOf } from "./make-plane.ts";
import type { Plane } from "./plane.ts";
import type { TableChange } from "./routing/match/table.ts";

/** Brings everything that decides where requests go to what an update says, whole; what is under way is not touched. */
export function applyUpdate(
  plane: Plane,
  update: DataUpdate,
): { readonly change: TableChange } & WorkloadChange {
  const change = plane.services.apply(update);
  const { gone, moved } = plane.workloads.apply(update);
  for (const { before, after } of change.changed) plane.clusters.update(before, after);
  for (const service of change.removed) {
    plane.clusters.remove(service);
    plane.routes.forget(service);
  }
  if (update.scopes !== undefined) {
    plane.scopes.apply(update.scopes);
    plane.services.touch();
  }
  if (update.place !== undefined && plane.clusters.moveTo(placeOf(plane.config, update.place))) {
    plane.services.touch();
  }
  if (update.policies !== undefined) plane.authorizer.apply(update.policies);
  return { change, gone, moved };
}
