import type { Config } from "../src/config/schema.ts";
import type { Credentials } from "../src/core/identity.ts";
import type { LogSwitches } from "../src/core/log-mark.ts";
import type { DataUpdate } from "../src/core/snapshot.ts";
import type { DataPlaneStats } from "../src/proxy/data-plane.ts";
import type { ListenerEntry } from "../src/proxy/downstream/accept.ts";
import type { ErrorReport } from "../src/sight/host-report.ts";
import type { TapEvent } from "../src/sight/tap-event.ts";
import type { TracedRequest } from "../src/telemetry/exemplar-book.ts";
import type { SeriesLabel } from "../src/telemetry/slot-allotter.ts";
import type { InstalledTap } from "../src/telemetry/tap/worker-taps.ts";
import type { MemoryLayout } from "./memory.ts";
import type { CrewResult } from "./warm-up/crew.ts";

/** How connections reach the workers; decides where the original destination is read. */
export type CaptureMode = "tproxy" | "redirect" | "explicit";

/** A listening socket of the process. Its worker listens on a duplicate, so the original outlives it. */
export interface SharedListener {
  readonly worker: number;
  readonly entry: ListenerEntry;
  readonly fd: number;
}

/** What a worker is born with (`workerData`). */
export interface WorkerStart {
  readonly index: number;
  readonly config: Config;
  readonly memory: MemoryLayout;
  readonly mode: CaptureMode;
  /** Empty where the worker opens the explicit port itself (systems other than Linux). */
  readonly listeners: readonly SharedListener[];
  readonly explicitPort: number;
  /** Label sets that the worker which had this place before has counted under. */
  readonly known: readonly SeriesLabel[];
  readonly ownAddresses: readonly string[];
  readonly ownPorts: readonly number[];
  readonly state: DataUpdate;
  readonly logging: LogSwitches;
  readonly taps: readonly InstalledTap[];
  /** Null: this host has no identity so far. */
  readonly credentials: Credentials | null;
  /** Is one on its way? Else traffic to other hosts goes in the clear. */
  readonly identityExpected: boolean;
  /** Longest time in which it warms up before it accepts; 0: it accepts at once. */
  readonly warmUpMs: number;
}

/** Spans on their way to the collector. */
export interface SpanBatch {
  /** Resource and span in turn, as OTLP's JSON has them. */
  readonly spans: readonly string[];
  /** Those that the worker had no room for. */
  readonly dropped: number;
}

/** From the main thread to a worker. */
export type ToWorker =
  | { readonly type: "update"; readonly update: DataUpdate }
  | { readonly type: "credentials"; readonly credentials: Credentials }
  | { readonly type: "ping"; readonly id: number }
  | { readonly type: "logging"; readonly switches: LogSwitches }
  | { readonly type: "tap"; readonly tap: InstalledTap }
  | { readonly type: "tap-end"; readonly id: number }
  /** So many characters of its spans are taken over. */
  | { readonly type: "spans-taken"; readonly bytes: number }
  /** Connections wait for it: what is left of its warm-up is not done. */
  | { readonly type: "hurry" }
  | { readonly type: "drain"; readonly deadlineMs: number };

/** From a worker to the main thread. `rejected`: an update was refused and the old view stays. */
export type FromWorker =
  | { readonly type: "ready" }
  | ({ readonly type: "warm" } & CrewResult)
  | { readonly type: "series"; readonly label: SeriesLabel }
  | { readonly type: "failure"; readonly failure: ErrorReport }
  | { readonly type: "traced"; readonly request: TracedRequest }
  | ({ readonly type: "spans" } & SpanBatch)
  | { readonly type: "pong"; readonly id: number; readonly stats: DataPlaneStats }
  /** What a tap has seen. */
  | { readonly type: "tapped"; readonly id: number; readonly events: readonly TapEvent[] }
  | { readonly type: "rejected"; readonly revision: number; readonly reason: string }
  | { readonly type: "log"; readonly message: string; readonly facts?: object };
