import type { Config } from "../src/config/schema.ts";
import type { CaptureMode, SharedListener } from "./worker-messages.ts";

/** What a generation begins with. The descriptors are inherited: numbers of the generation itself. */
export interface GenerationStart {
  readonly config: Config;
  readonly mode: CaptureMode;
  readonly workers: number;
  readonly listeners: readonly SharedListener[];
  /** The port that the explicit listeners really have. */
  readonly explicitPort: number;
  /** Of mutual TLS from other hosts; null: none is taken. */
  readonly meshPort: number | null;
  readonly ownAddresses: readonly string[];
  readonly ownPorts: readonly number[];
  /**
   * How long to go on accepting when the guardian is gone: until its capture rules have lapsed, every new
   * connection of a container still arrives here.
   */
  readonly lingerMs: number;
  /** It replaces a generation that has ended: connections wait for it. */
  readonly urgent: boolean;
  /** A one-time token that was made for this start. It is a secret: it is neither logged nor shown. */
  readonly joinToken?: string;
}

/** Ports that a generation opened itself. */
export interface GenerationPorts {
  readonly admin: number;
  readonly metrics: number;
  readonly ready: number;
}

/** From the guardian. `capture`: are the rules and their dead-man entry in place, and were they given back for good? `drain`: accept for `lingerMs` more, then end what is open, then exit. */
export type ToGeneration =
  | { readonly type: "start"; readonly start: GenerationStart }
  | { readonly type: "capture"; readonly active: boolean; readonly released: boolean }
  | { readonly type: "drain"; readonly lingerMs: number; readonly deadlineMs: number };

/**
 * To the guardian. `beat` comes four times a second and says whether every worker answers; `stop-requested`
 * asks for an orderly stop of the whole daemon (POST /drain), `release-requested` only for its first step: that new
 * connections are captured no more (POST /release).
 */
export type FromGeneration =
  | { readonly type: "ready"; readonly ports: GenerationPorts }
  | { readonly type: "failed"; readonly reason: string }
  | {
      readonly type: "workloads";
      readonly addresses: readonly string[];
      /** Those of them to which plaintext from outside must be captured too. */
      readonly guarded: readonly string[];
    }
  | { readonly type: "beat"; readonly serving: boolean }
  | { readonly type: "stop-requested" }
  | { readonly type: "release-requested" };
