import type { Contestant, Sample, Workload } from "../model.ts";
import { failedSample } from "./failed-sample.ts";

/** What is measured, and by whom. */
export interface Rounds {
  readonly contestants: readonly Contestant[];
  readonly workloads: readonly Workload[];
  readonly repeat: number;
  /** Load that is not measured; `isFirst`: the contestant has carried none before. */
  readonly warmUp: (contestant: Contestant, workload: Workload, isFirst: boolean) => Promise<void>;
  readonly take: (contestant: Contestant, workload: Workload, round: number) => Promise<Sample>;
  /** Told of every sample as it comes. */
  readonly onSample: (sample: Sample) => void;
  /** Told of a contestant that is not measured any more, and why. */
  readonly onDropped: (dropped: Dropped) => void;
  readonly signal: AbortSignal;
}

/** A contestant that failed so badly that it was left out from then on. */
export interface Dropped {
  readonly contestant: string;
  readonly workload: Workload;
  /** From 0; null: while it was warmed. */
  readonly round: number | null;
  readonly reason: string;
}

export interface Measured {
  readonly samples: readonly Sample[];
  readonly dropped: readonly Dropped[];
  /** False where the signal broke it off; the samples then are those of whole rounds. */
  readonly isComplete: boolean;
}

/**
 * Measures everybody in turn, round after round, so that what changes on the machine meets all of them; each round
 * begins with another one, so that nobody always runs after the same neighbour. Whoever fails is left out, and the
 * others go on.
 */
export async function measureRounds(rounds: Rounds): Promise<Measured> {
  const { workloads, repeat, signal } = rounds;
  const state: State = { rounds, left: [...rounds.contestants], samples: [], dropped: [] };
  for (const [index, workload] of workloads.entries()) {
    for (const contestant of [...state.left]) {
      await guarded(state, contestant, workload, null, () =>
        rounds.warmUp(contestant, workload, index === 0),
      );
    }
    for (let round = 0; round < repeat && !signal.aborted; round++) {
      const before = state.samples.length;
      for (const contestant of rotated(state.left, round)) {
        await guarded(state, contestant, workload, round, async () => {
          const sample = await rounds.take(contestant, workload, round);
          state.samples.push(sample);
          rounds.onSample(sample);
        });
      }
      // A comparison of contestants that do not have the same rounds would not be one.
      if (signal.aborted) state.samples.length = before;
    }
  }
  return { samples: state.samples, dropped: state.dropped, isComplete: !signal.aborted };
}

/** The same list, beginning with another item each time. */
export function rotated<Item>(items: readonly Item[], by: number): Item[] {
  const start = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(start), ...items.slice(0, start)];
}

interface State {
  readonly rounds: Rounds;
  left: Contestant[];
  readonly samples: Sample[];
  readonly dropped: Dropped[];
}

async function guarded(
  state: State,
  contestant: Contestant,
  workload: Workload,
  round: number | null,
  work: () => Promise<void>,
): Promise<void> {
  const { signal, onDropped } = state.rounds;
  if (signal.aborted) return;
  try {
    await work();
  } catch (error) {
    // What fails because everything is being ended is nobody's failure.
    if (signal.aborted) return;
    const reason = error instanceof Error ? error.message : String(error);
    const dropped = { contestant: contestant.name, workload, round, reason };
    state.left = state.left.filter((one) => one !== contestant);
    state.dropped.push(dropped);
    // It stays in the samples, so that no reader takes its earlier rounds for all of them.
    const problem = round === null ? `failed when it was warmed: ${reason}` : `failed: ${reason}`;
    state.samples.push(failedSample(contestant.name, workload, round ?? 0, problem));
    onDropped(dropped);
  }
}
