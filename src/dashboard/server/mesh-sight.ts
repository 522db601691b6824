import type { MeshReport } from "../../sight/mesh-report.ts";
import type { TapFilter, TapItem, TapLimits } from "../../sight/tap-event.ts";

/** Where the dashboard has its figures from: the registry's hub, which asks the daemons. */
export interface MeshSight {
  report(): Promise<MeshReport>;
  /** Calls back about so often, in ms, until the result is called. Nothing is asked while nobody watches. */
  watch(everyMs: number, onReport: (report: MeshReport) => void): () => void;
  /** One question to the daemon of a host. Rejects where it does not answer in time. */
  ask(host: string, question: { readonly kind: "report" }, patienceMs: number): Promise<unknown>;
  /**
   * Live requests of these hosts (null: of all), until the result is called or the limits end it. `onEnd` is told why,
   * where it is no end as agreed. Throws where nobody can be tapped.
   */
  tap(
    filter: TapFilter,
    limits: TapLimits,
    hosts: readonly string[] | null,
    onItem: (item: TapItem) => void,
    onEnd: (reason: string | null) => void,
  ): () => void;
}
