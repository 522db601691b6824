import type { Clock } from "../core/clock.ts";
import type { AllowedRole } from "./caller.ts";
import type { Catalog } from "./catalog.ts";
import type { CheckMonitor } from "./check-monitor.ts";
import type { IdentityParts } from "./identity/open-identity.ts";
import type { PlanSettings } from "./inputs.ts";
import type { ResourceSettings } from "./plan-resource.ts";
import type { SightHub } from "./sight/hub.ts";
import type { RunningSource } from "./source.ts";
import type { Waiters } from "./waiters.ts";
import type { Writer } from "./writer.ts";

/** A daemon that watches, as `/v1/mesh/status` shows it. Times in ms, sizes in bytes. */
export interface DaemonStatus {
  readonly host: string;
  readonly zone: string;
  readonly version: string;
  readonly peer: string;
  /** The newest revision that it has acknowledged. */
  readonly revision: number;
  readonly connectedMs: number;
  readonly silentMs: number;
  readonly bufferedBytes: number;
  /** For how long it has not come closer to the newest revision; 0: it holds it. */
  readonly behindMs: number;
  /** Snapshots that it asked for because it had lost track. */
  readonly resyncs: number;
  /** Its newest refusal; null once it has acknowledged a later revision. */
  readonly refusal: { readonly revision: number; readonly reason: string } | null;
}

/** What the routes work with. */
export interface RegistryParts {
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly monitor: CheckMonitor;
  readonly waiters: Waiters;
  readonly settings: PlanSettings;
  readonly resources: ResourceSettings;
  /** Time of day: what is made gets a date that survives restarts. */
  readonly wall: Clock;
  readonly epoch: string;
  /** Name and address of the registry's own host, which Consul's calls belong to when they name none. */
  readonly host: string;
  readonly nodeAddress: string;
  /** Null: this registry is no certificate authority. */
  readonly identity: IdentityParts | null;
  /** Null: everything here was registered or applied. */
  readonly source: { readonly place: string; readonly running: RunningSource } | null;
  /** Who, besides operators, may register endpoints and workloads. */
  readonly registrars: readonly AllowedRole[];
  daemons(): readonly DaemonStatus[];
  readonly sight: SightHub;
  /** What the store says of itself. */
  storeStatus(): Record<string, unknown>;
  /** `host:port` that the API listens on. */
  listening(): string;
}
