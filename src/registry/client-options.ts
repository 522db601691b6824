import type { Clock } from "../core/clock.ts";
import type { Change } from "../core/model.ts";
import type { Random } from "../core/random.ts";
import type { Log } from "./log.ts";
import type { AnswerPart, Ask, CheckTask } from "./protocol.ts";
import type { LookUp } from "./registry-targets.ts";
import type { RegistryTls } from "./registry-tls.ts";
import type { Timers } from "./timers.ts";

export interface RegistryClientOptions {
  /** Registries, tried in turn; of a name with several addresses each. */
  readonly urls: readonly string[];
  /** Default: the system's resolver. */
  readonly lookUp?: LookUp;
  readonly host: string;
  readonly zone: string;
  /** Version of this program, shown in the registry's status. */
  readonly version: string;
  /** Where the last good state is kept; its folder must exist. */
  readonly snapshotPath: string;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly timers?: Timers;
  /** Asked at each connection to an https URL; null: the system's authorities and the host's name count. */
  readonly tls?: () => RegistryTls | null;
  /** Asked at each connection: where this host takes mutual TLS ("": at the address that the registry sees). */
  readonly mesh?: () => { readonly address: string; readonly port: number } | null;
  /** A registry does not take this host's certificate, or shows one that is not trusted here. */
  readonly distrusted?: () => void;
  /**
   * Takes one revision, whole. `full`: everything there is. What it throws goes to the registry as the
   * reason of a refusal, and the state stays as it was.
   */
  onUpdate(changes: readonly Change[], revision: number, full: boolean): void;
  /** Answers what registries ask; absent: they are told that nothing is answered. */
  readonly questions?: QuestionTaker;
  /** The http and tcp checks that this host shall run; always all of them. */
  onChecks(checks: readonly CheckTask[]): void;
}

/** Who answers the questions of the registry that this daemon watches. */
export interface QuestionTaker {
  /** `send` resolves once a part is on its way, or the connection is gone. */
  ask(ask: Ask, send: (part: AnswerPart) => Promise<void>): void;
  /** Nobody waits for the answer any more. */
  end(id: number): void;
  /** Nor for any other. */
  endAll(): void;
}

export interface RegistryClientState {
  readonly connected: boolean;
  readonly url: string;
  readonly revision: number;
  readonly epoch: string;
  /** Time since this state was last known to be the newest, in ms. */
  readonly ageMs: number;
  readonly lastError: string | null;
  /** The newest revision that was refused, until a later one is taken. */
  readonly rejected: { readonly revision: number; readonly reason: string } | null;
  /** How often this client lost track, by digest or by a gap, and asked for everything. */
  readonly resyncs: number;
}
