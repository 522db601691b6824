import type { TapFilter, TapLimits } from "./tap-event.ts";

/**
 * What a registry asks one of the daemons that watch it. A daemon answers kinds that it does not know with an error, so new
 * ones may be asked of old daemons.
 */
export type Question =
  /** A `HostReport`. */
  | { readonly kind: "report" }
  /** The configuration that the daemon acts on, without metadata and credentials. */
  | { readonly kind: "config"; readonly redacted: true }
  /** Lists of `TapItem`, one after the other, until it is ended. */
  | { readonly kind: "tap"; readonly filter: TapFilter; readonly limits: TapLimits }
  /** What would become of an imagined request. */
  | { readonly kind: "explain"; readonly request: unknown }
  /** What is logged from now on, where something is given; the answer is how it stands. */
  | { readonly kind: "logging"; readonly level?: string; readonly accessLog?: unknown };

/** One of them, or one that only a newer registry knows: it is passed on as it is. */
export type AnyQuestion = Question | { readonly kind: string };

/** Largest answer, as JSON text. */
export const MAX_ANSWER_BYTES = 33_554_432;
/** Questions that a registry may have open with one daemon at once, taps included. */
export const MAX_OPEN_QUESTIONS = 8;
