import type { TapItem } from "../../src/sight/tap-event.ts";
import { tapFilterSchema, tapLimitsSchema } from "../../src/sight/tap-schema.ts";
import type { TapHub } from "./tap-hub.ts";

/** Where the answers to a question go. */
export interface TapStream {
  /** Aborted when nobody waits for them any more. */
  readonly ended: AbortSignal;
  /** `false`: too much waits to be sent, and this was dropped. */
  send(items: readonly TapItem[]): boolean;
}

/**
 * Answers a registry's question `tap`: lists of `TapItem`, until the tap's time is over or nobody waits any more. Rejects what
 * is no filter, and one tap too many.
 */
export function tapAnswers(hub: TapHub) {
  return (question: Readonly<Record<string, unknown>>, stream: TapStream): Promise<void> => {
    const filter = tapFilterSchema.parse(question["filter"] ?? {});
    const limits = tapLimitsSchema.parse(question["limits"] ?? {});
    return new Promise((resolve) => {
      const close = hub.open(filter, limits, {
        onItems: (items) => stream.send(items),
        onEnd: resolve,
      });
      const onAbort = () => {
        close();
        resolve();
      };
      if (stream.ended.aborted) onAbort();
      else stream.ended.addEventListener("abort", onAbort, { once: true });
    });
  };
}
