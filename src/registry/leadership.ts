/** Which of several registries does what must be done once, as of now. */
export interface Leadership {
  /** True only while no other registry can be the leader. */
  isLeader(): boolean;
  /** Told of every change; the result ends that. */
  subscribe(listener: (isLeader: boolean) => void): () => void;
}

/** Of a registry that has its store for itself. */
export const ALONE: Leadership = { isLeader: () => true, subscribe: () => () => {} };

/** Heartbeats of checks, which arrive at any registry and are waited for by the leader. */
export interface SharedBeats {
  /** From the arrival of a heartbeat anywhere until `heard`, at most. */
  readonly travelMs: number;
  /** A heartbeat has arrived here. Resolves when the leader hears of it, rejects where it may not. */
  tell(check: string): Promise<void>;
  /**
   * Hears of those that arrived anywhere else. `missed`: some may have been lost, so that silence means nothing. The
   * result ends it.
   */
  follow(listener: { heard(check: string): void; missed(): void }): () => void;
}

/** Heartbeats of a registry that is alone. */
export const OWN_BEATS: SharedBeats = { travelMs: 0, tell: async () => {}, follow: () => () => {} };
