/** How much of the planned time is left, corrected by how long the part that is done really took. */
export class TimeLeft {
  readonly #totalSeconds: number;
  readonly #nowMs: () => number;
  readonly #startMs: number;
  #doneSeconds = 0;
  #doneAtMs: number;

  /** `nowMs` is a monotonic clock. */
  constructor(totalSeconds: number, nowMs: () => number = () => performance.now()) {
    this.#totalSeconds = totalSeconds;
    this.#nowMs = nowMs;
    this.#startMs = nowMs();
    this.#doneAtMs = this.#startMs;
  }

  /** A part that was planned to last so long has ended. */
  done(plannedSeconds: number): void {
    this.#doneSeconds += plannedSeconds;
    this.#doneAtMs = this.#nowMs();
  }

  /** Seconds, never negative. */
  left(): number {
    const tookSeconds = (this.#doneAtMs - this.#startMs) / 1_000;
    const pace = this.#doneSeconds === 0 ? 1 : tookSeconds / this.#doneSeconds;
    const sinceSeconds = (this.#nowMs() - this.#doneAtMs) / 1_000;
    return Math.max(0, (this.#totalSeconds - this.#doneSeconds) * pace - sinceSeconds);
  }
}

/** A time for people: `45 s`, `3:05 min`, `1:02:05 h`. */
export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  const pad = (value: number) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}:${pad(whole % 60)} min`;
  return `${Math.floor(minutes / 60)}:${pad(minutes % 60)}:${pad(whole % 60)} h`;
}
