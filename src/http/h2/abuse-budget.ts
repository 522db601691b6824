import type { Clock } from "../../core/clock.ts";
import { ENHANCE_YOUR_CALM } from "./codes.ts";
import { ConnectionError } from "./errors.ts";

/** So many at once, and so many more with each second. */
interface Rate {
  readonly burst: number;
  readonly perSecond: number;
}

/**
 * A peer that acts in good faith never comes near these; each is for frames that cost us more than they cost the sender.
 * Where others have a number it is theirs:
 * - `priorities`: Envoy, 100 for each stream.
 * - `windows`: Envoy, 5 + 2 for each stream and 20 for each DATA frame sent.
 * - `pings`, `settings`: others only bound what waits to be sent in answer (1,000 frames in nghttp2 and Envoy, 10,000 in
 *   Go). That is bounded by `unsentBytes` here; the rate bounds the work. gRPC pings with the data, to measure the link.
 * - `empties`: Envoy ends a connection at the second in a row, which hits senders that flush often.
 * - `idles`: frames for streams that are over, and of types that are unknown: late ones are normal.
 */
const RATES = {
  settings: { burst: 100, perSecond: 10 },
  pings: { burst: 1_000, perSecond: 100 },
  priorities: { burst: 1_000, perSecond: 100 },
  windows: { burst: 1_000, perSecond: 100 },
  empties: { burst: 100, perSecond: 10 },
  idles: { burst: 1_000, perSecond: 100 },
} as const satisfies Record<string, Rate>;

/**
 * A reset so soon behind its request is no change of mind. Envoy says a second (`premature_reset_min_stream_lifetime_seconds`)
 * and looks at their share; callers with short deadlines reset more slowly than this, and who waits for longer can open no
 * more streams in that way than an honest client has served, as few may be open at a time.
 */
export const PREMATURE_MS = 50;

/** Frames without content that are on their way when a stream ends: windows, trailers, a reset. */
const LATE_FRAMES = 4;

/** A token bucket that looks at the clock only when it is empty. */
class Allowance {
  readonly #name: string;
  readonly #rate: Rate;
  readonly #clock: Clock;
  #left: number;
  #filledMs: number;

  constructor(name: string, rate: Rate, clock: Clock) {
    this.#name = name;
    this.#rate = rate;
    this.#clock = clock;
    this.#left = rate.burst;
    this.#filledMs = clock.now();
  }

  /** Throws the `ConnectionError` that ends the connection when there is none left. */
  spend(): void {
    this.#left -= 1;
    if (this.#left >= 0) return;
    const nowMs = this.#clock.now();
    this.earn(((nowMs - this.#filledMs) * this.#rate.perSecond) / 1_000);
    this.#filledMs = nowMs;
    if (this.#left < 0) throw new ConnectionError(ENHANCE_YOUR_CALM, `too many ${this.#name}`);
  }

  /** What is of use pays for what is not. */
  earn(count: number): void {
    this.#left = Math.min(this.#rate.burst, this.#left + count);
  }
}

/** Of streams that come to nothing, as `SessionLimits` has it. */
export interface WastedLimits {
  readonly wastedStreams: number;
  readonly wastedPerSecond: number;
}

/** What a peer may ask of a connection beyond exchanging messages (RFC 9113 section 10.5). */
export class AbuseBudget {
  readonly #resets: Allowance;
  readonly #settings: Allowance;
  readonly #pings: Allowance;
  readonly #priorities: Allowance;
  readonly #windows: Allowance;
  readonly #empties: Allowance;
  readonly #idles: Allowance;

  constructor(limits: WastedLimits, clock: Clock) {
    const wasted = { burst: limits.wastedStreams, perSecond: limits.wastedPerSecond };
    this.#resets = new Allowance("streams that came to nothing", wasted, clock);
    this.#settings = new Allowance("SETTINGS frames", RATES.settings, clock);
    this.#pings = new Allowance("PING frames", RATES.pings, clock);
    this.#priorities = new Allowance("PRIORITY frames", RATES.priorities, clock);
    this.#windows = new Allowance("WINDOW_UPDATE frames", RATES.windows, clock);
    this.#empties = new Allowance("empty frames", RATES.empties, clock);
    this.#idles = new Allowance("frames without a stream", RATES.idles, clock);
  }

  /** The peer has opened a stream. */
  streamOpened(): void {
    this.#priorities.earn(100);
    this.#windows.earn(2);
  }

  /** A stream has ended as it should. */
  streamCompleted(): void {
    this.#resets.earn(1);
    this.#idles.earn(LATE_FRAMES);
  }

  /** We have reset a stream: the peer does not know yet. */
  streamReset(): void {
    this.#idles.earn(LATE_FRAMES);
  }

  /**
   * A stream has come to nothing by the peer's doing: reset right behind its request (rapid reset, CVE-2023-44487), or by
   * us for a fault of the peer ("made you reset", CVE-2025-8671), or refused above the limit.
   */
  streamWasted(): void {
    this.#resets.spend();
  }

  dataSent(): void {
    this.#windows.earn(20);
  }

  dataReceived(): void {
    this.#pings.earn(1);
    this.#empties.earn(1);
  }

  /** CVE-2019-9515. */
  settings(): void {
    this.#settings.spend();
  }

  /** CVE-2019-9512. */
  ping(): void {
    this.#pings.spend();
  }

  /** CVE-2019-9513. */
  priority(): void {
    this.#priorities.spend();
  }

  windowUpdate(): void {
    this.#windows.spend();
  }

  /** DATA with nothing in it but padding, not even the end of the stream: CVE-2019-9518. */
  emptyData(): void {
    this.#empties.spend();
  }

  idleFrame(): void {
    this.#idles.spend();
  }
}
