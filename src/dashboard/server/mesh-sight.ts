import type { SightHub } from "../../registry/sight/hub.ts";

/** Where the dashboard has its figures from: what it uses of the registry's hub, which asks the daemons. */
export type MeshSight = Pick<SightHub, "report" | "watch" | "ask" | "tap">;
