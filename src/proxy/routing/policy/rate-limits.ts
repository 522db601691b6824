import { randomBytes } from "node:crypto";
import type { Clock } from "../../../core/clock.ts";
import { alignToLine } from "../../../core/shared-counts.ts";
import { type HashWords, halfSipHash } from "./keyed-hash.ts";

/** `requests` in `periodMs`, and `burst` at once (at least 1). */
export interface RateLimit {
  readonly requests: number;
  readonly periodMs: number;
  readonly burst: number;
}

export interface RateDecision {
  readonly allowed: boolean;
  /** Requests that would be allowed at once now. */
  readonly remaining: number;
  /** Until one would be allowed; 0 where it was. */
  readonly retryAfterMs: number;
  /** Until `burst` would be allowed at once again. */
  readonly resetMs: number;
}

const WAYS = 8;
const LINE_BYTES = 64;
const HEADER_BYTES = 64;
const KEY0 = 0;
const KEY1 = 1;
const OVERFLOWS = 2;
/** In place of a time: the entry is being handed to another key. */
const BUSY = -1n;
/** In place of a time: there is no room for the key. */
const FULL = Number.POSITIVE_INFINITY;
const NS_PER_MS = 1e6;
/**
 * Attempts to get past a thread that is in the middle of a step of a few nanoseconds, some 50 ms in all. The kernel may
 * have taken its CPU away, but who is gone for longer was terminated.
 */
const PATIENCE = 500_000;
const MAX_RECOVERIES = 3;

/**
 * Buckets of rate limits in shared memory, exact over all workers. Each is the generic cell rate algorithm (ITU-T I.371,
 * virtual scheduling): a bucket is one time, the theoretical arrival time TAT. With T = periodMs / requests a request is
 * allowed where max(TAT, now) + T - now <= T * burst, and moves TAT to max(TAT, now) + T. T is rounded up to whole ns,
 * so a limit is never exceeded by rounding. A key whose TAT has passed is as good as new and its entry may be reused.
 *
 * The table has sets of 8 entries; a key lives in one of two sets, by its keyed 64-bit hash. TAT changes by compare and
 * swap and only ever grows, thus whoever swaps successfully after comparing the hash has changed the right bucket.
 * To be inserted at most once, a key takes the version of its home set from even to odd, which fails where any insertion
 * has begun there since the search.
 *
 * A worker may be terminated between two atomic steps (V8 stops a thread at calls of the Atomics functions too) and so
 * leave a set or an entry locked: whoever has waited for it for some 50 ms unlocks it. Only if the other thread was alive
 * after all, kept from its CPU for that long in just these nanoseconds, can one bucket be made twice.
 */
export class RateLimits {
  readonly #clock: Clock;
  /** First set of the keys that callers choose. */
  readonly #half: number;
  readonly #mask: number;
  readonly #header: Int32Array;
  readonly #versions: Int32Array;
  /** Two words for each entry. */
  readonly #hashes: Int32Array;
  readonly #tats: BigInt64Array;
  readonly #hash: HashWords = { low: 0, high: 0 };

  /** Called for each request of this thread that is allowed only because the table has no room for its bucket. */
  onOverflow: () => void = ignore;

  /** `buckets` is rounded up to 8 times a power of two, at least 16. */
  static bytesFor(buckets: number): number {
    const sets = setsFor(buckets);
    return HEADER_BYTES + alignToLine(sets * 4) + sets * 2 * LINE_BYTES;
  }

  /** Throws RangeError for an offset that is not aligned to a cache line. */
  constructor(buffer: SharedArrayBuffer, byteOffset: number, buckets: number, clock: Clock) {
    if (byteOffset % LINE_BYTES !== 0) throw new RangeError(`offset ${byteOffset} is not aligned`);
    const sets = setsFor(buckets);
    const versions = byteOffset + HEADER_BYTES;
    const hashes = versions + alignToLine(sets * 4);
    this.#clock = clock;
    this.#half = sets / 2;
    this.#mask = sets / 2 - 1;
    this.#header = new Int32Array(buffer, byteOffset, HEADER_BYTES / 4);
    this.#versions = new Int32Array(buffer, versions, sets);
    this.#hashes = new Int32Array(buffer, hashes, sets * WAYS * 2);
    this.#tats = new BigInt64Array(buffer, hashes + sets * LINE_BYTES, sets * WAYS);
    // Whoever comes first settles the key of the hash for all threads.
    const key = randomBytes(8);
    Atomics.compareExchange(this.#header, KEY0, 0, key.readInt32LE(0));
    Atomics.compareExchange(this.#header, KEY1, 0, key.readInt32LE(4));
  }

  /**
   * Takes one request from the bucket `key`. Where there is no room for another bucket it is allowed, and counted.
   * `chosen`: a caller chooses part of the key. Such keys have half of the table for themselves, so that whoever makes up
   * keys to fill it does not lift the other limits.
   */
  take(key: string, limit: RateLimit, chosen = false): RateDecision {
    const { requests, periodMs } = limit;
    if (!(requests > 0)) {
      return { allowed: false, remaining: 0, retryAfterMs: periodMs, resetMs: periodMs };
    }
    const intervalNs = Math.max(1, Math.ceil((periodMs * NS_PER_MS) / requests));
    const burst = Math.max(1, Math.floor(limit.burst));
    const nowNs = Math.floor(this.#clock.now() * NS_PER_MS);
    const allowance = intervalNs * burst;
    halfSipHash(key, this.#header[KEY0]!, this.#header[KEY1]!, this.#hash);
    const tat = this.#advance(chosen ? this.#half : 0, nowNs, intervalNs, allowance);
    // What is in use of the allowance, this request included where it was allowed.
    const usedNs = Math.abs(tat) - nowNs;
    const allowed = tat >= 0;
    return {
      allowed,
      remaining: Math.max(0, Math.floor((allowance - usedNs) / intervalNs)),
      retryAfterMs: allowed ? 0 : (usedNs + intervalNs - allowance) / NS_PER_MS,
      resetMs: Math.max(0, usedNs) / NS_PER_MS,
    };
  }

  /** Requests that were allowed only because the table had no room for their bucket. */
  get overflows(): number {
    return Atomics.load(this.#header, OVERFLOWS);
  }

  /**
   * The TAT in ns of the key that was hashed last after the request, or its negative where the request is not allowed and
   * has changed nothing.
   */
  #advance(firstSet: number, nowNs: number, intervalNs: number, allowance: number): number {
    const home = firstSet + (this.#hash.low & this.#mask);
    const other = firstSet + (this.#hash.high & this.#mask);
    for (let spins = 1; spins <= PATIENCE * MAX_RECOVERIES; spins++) {
      if (spins % PATIENCE === 0) this.#recover(home, other);
      const version = Atomics.load(this.#versions, home);
      const at = this.#find(home, other);
      const tat =
        at === -1
          ? this.#enter(home, other, version, nowNs, intervalNs)
          : this.#advanceEntry(at, nowNs, intervalNs, allowance);
      if (tat === FULL) break;
      if (tat !== null) return tat;
    }
    Atomics.add(this.#header, OVERFLOWS, 1);
    this.onOverflow();
    return nowNs + intervalNs;
  }

  /** As `#advance`, for a key that is not there; null where something has changed since `version`, or `FULL`. */
  #enter(
    home: number,
    other: number,
    version: number,
    nowNs: number,
    intervalNs: number,
  ): number | null {
    if ((version & 1) !== 0) return null;
    const free = this.#findFree(home, other, nowNs);
    if (free === -1) return this.#isAnyBusy(home, other) ? null : FULL;
    return this.#insert(home, version, free, nowNs + intervalNs) ? nowNs + intervalNs : null;
  }

  /** As `#advance`; null where the entry is not the key's any more, or another thread was faster. */
  #advanceEntry(at: number, nowNs: number, intervalNs: number, allowance: number): number | null {
    const seen = Atomics.load(this.#tats, at);
    // In this order: an entry whose TAT does not change from here to the swap has not changed hands in between.
    if (seen === BUSY || !this.#holds(at)) return null;
    const usedUntil = Math.max(Number(seen), nowNs);
    const tat = usedUntil + intervalNs;
    if (tat - nowNs > allowance) return -usedUntil;
    return Atomics.compareExchange(this.#tats, at, seen, BigInt(tat)) === seen ? tat : null;
  }

  #find(home: number, other: number): number {
    for (let way = 0; way < WAYS; way++) {
      if (this.#holds(home * WAYS + way)) return home * WAYS + way;
    }
    for (let way = 0; way < WAYS; way++) {
      if (this.#holds(other * WAYS + way)) return other * WAYS + way;
    }
    return -1;
  }

  #holds(at: number): boolean {
    const { low, high } = this.#hash;
    const hashes = this.#hashes;
    return Atomics.load(hashes, at * 2) === low && Atomics.load(hashes, at * 2 + 1) === high;
  }

  #isAnyBusy(home: number, other: number): boolean {
    for (let way = 0; way < WAYS; way++) {
      if (Atomics.load(this.#tats, home * WAYS + way) === BUSY) return true;
      if (Atomics.load(this.#tats, other * WAYS + way) === BUSY) return true;
    }
    return false;
  }

  /** Unlocks what a thread has left locked that is no more. */
  #recover(home: number, other: number): void {
    const version = Atomics.load(this.#versions, home);
    if ((version & 1) !== 0) {
      Atomics.compareExchange(this.#versions, home, version, version + 1);
    }
    for (let way = 0; way < WAYS; way++) {
      Atomics.compareExchange(this.#tats, home * WAYS + way, BUSY, 0n);
      Atomics.compareExchange(this.#tats, other * WAYS + way, BUSY, 0n);
    }
  }

  /** An entry whose time has passed; #insert makes sure that it still has. */
  #findFree(home: number, other: number, nowNs: number): number {
    for (let way = 0; way < WAYS * 2; way++) {
      const at = (way < WAYS ? home : other) * WAYS + (way % WAYS);
      const tat = Atomics.load(this.#tats, at);
      if (tat !== BUSY && Number(tat) <= nowNs) {
        this.#freeTat = tat;
        return at;
      }
    }
    return -1;
  }

  /** What #findFree saw. */
  #freeTat = 0n;

  /** Gives the entry to the key that was hashed last, unless anything has changed. */
  #insert(home: number, version: number, at: number, tat: number): boolean {
    const { low, high } = this.#hash;
    const seen = this.#freeTat;
    const next = BigInt(tat);
    const versions = this.#versions;
    const tats = this.#tats;
    const hashes = this.#hashes;
    if (Atomics.compareExchange(versions, home, version, version + 1) !== version) return false;
    const taken = Atomics.compareExchange(tats, at, seen, BUSY) === seen;
    if (taken) {
      Atomics.store(hashes, at * 2, low);
      Atomics.store(hashes, at * 2 + 1, high);
      Atomics.store(tats, at, next);
    }
    Atomics.store(versions, home, version + 2);
    return taken;
  }
}

function ignore(): void {
  // Whoever wants to know sets `onOverflow`.
}

function setsFor(buckets: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(2, buckets / WAYS)));
}
