import { build, encodeIntoCompressedBase64, type Histogram } from "hdr-histogram-js";

/** An hour: nothing waits so long, and a histogram of 3 digits has 26,000 counters then. */
const HIGHEST_MICROS = 3.6e9;

function micros(): Histogram {
  return build({
    bitBucketSize: 32,
    highestTrackableValue: HIGHEST_MICROS,
    numberOfSignificantValueDigits: 3,
    useWebAssembly: false,
  });
}

/** What happened within the counted time. All times are milliseconds of `performance.now()`. */
export class Tally {
  readonly #histogram = micros();
  readonly #lateness = micros();
  readonly #errors: Record<string, number> = {};
  readonly #bodyBytes: number;
  /** With a rate, requests belong to the counted time by when they should have been sent. */
  readonly #byIntention: boolean;
  #from = Number.POSITIVE_INFINITY;
  #until = Number.POSITIVE_INFINITY;
  #answers = 0;
  #scheduled = 0;
  #settled = 0;

  constructor(bodyBytes: number, byIntention: boolean) {
    this.#bodyBytes = bodyBytes;
    this.#byIntention = byIntention;
  }

  begin(now: number): void {
    this.#from = now;
  }

  end(now: number): void {
    this.#until = now;
  }

  /** Requests of the counted time that have neither been answered nor failed. */
  get missing(): number {
    return this.#scheduled - this.#settled;
  }

  /** Requests of the counted time that have been answered or failed. */
  get settled(): number {
    return this.#settled;
  }

  /** A request is due, whether it can be sent or not. */
  schedule(intended: number): void {
    if (this.#counts(intended)) this.#scheduled++;
  }

  /** `start`: from when its latency counts. */
  answer(start: number, now: number): void {
    const isNow = this.#counts(now);
    if (isNow) this.#answers++;
    if (!(this.#byIntention ? this.#counts(start) : isNow)) return;
    this.#settled++;
    this.#histogram.recordValue(Math.min(HIGHEST_MICROS, Math.round((now - start) * 1e3)));
  }

  /** A request failed, or (intended null) a connection without one. */
  error(kind: string, intended: number | null, now: number): void {
    if (this.#counts(now)) this.#add(kind, 1);
    if (intended !== null && this.#counts(this.#byIntention ? intended : now)) this.#settled++;
  }

  /** How long after its time a request was sent although a connection was free. */
  late(intended: number, lateMs: number): void {
    if (this.#counts(intended)) this.#lateness.recordValue(Math.round(lateMs * 1e3));
  }

  /** Counts what is still missing as errors: nobody waits for it any longer. */
  giveUp(): void {
    if (this.missing > 0) this.#add("unanswered", this.missing);
    this.#settled = this.#scheduled;
  }

  /** The figures, once the counted time has an end. */
  result() {
    return {
      requests: this.#answers,
      bodyBytes: this.#answers * this.#bodyBytes,
      seconds: (this.#until - this.#from) / 1e3,
      errors: { ...this.#errors },
      histogram: encodeIntoCompressedBase64(this.#histogram),
      lateP99Micros: this.#byIntention ? this.#lateness.getValueAtPercentile(99) : null,
    };
  }

  #counts(time: number): boolean {
    return time >= this.#from && time <= this.#until;
  }

  #add(kind: string, count: number): void {
    this.#errors[kind] = (this.#errors[kind] ?? 0) + count;
  }
}
