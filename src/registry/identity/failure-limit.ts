import { canonicalAddress } from "../../core/address.ts";
import type { Clock } from "../../core/clock.ts";

/** Failures in a window that an address may have before it must wait for the next. */
const MAX_FAILURES = 10;
const WINDOW_MS = 60_000;
/** Addresses that are remembered; the oldest is forgotten first. */
const MAX_ADDRESSES = 4_096;

/**
 * Slows down whoever tries proofs of identity one after the other. Secrets of 256 bits cannot be guessed anyway; this
 * keeps the log and the registry's CPU from it. Others are not held up: addresses count apart, IPv6 by /64.
 */
export class FailureLimit {
  readonly #clock: Clock;
  readonly #failures = new Map<string, { count: number; readonly sinceMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How long this address must wait, in ms; 0: not at all. */
  waitMs(address: string): number {
    const known = this.#failures.get(networkOf(address));
    if (known === undefined || known.count < MAX_FAILURES) return 0;
    return Math.max(0, known.sinceMs + WINDOW_MS - this.#clock.now());
  }

  count(address: string): void {
    const key = networkOf(address);
    const now = this.#clock.now();
    const known = this.#failures.get(key);
    if (known !== undefined && now < known.sinceMs + WINDOW_MS) {
      known.count++;
      return;
    }
    this.#failures.delete(key);
    this.#failures.set(key, { count: 1, sinceMs: now });
    const [oldest] = this.#failures.keys();
    if (this.#failures.size > MAX_ADDRESSES && oldest !== undefined) this.#failures.delete(oldest);
  }
}

/** The address itself, or the first 64 bits of an IPv6 address, of which one machine may use all. */
function networkOf(address: string): string {
  const canonical = canonicalAddress(address);
  if (!canonical.includes(":")) return canonical;
  const [before = [], after = []] = canonical
    .split("::")
    .map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = Array.from({ length: 8 - before.length - after.length }, () => "0");
  return [...before, ...zeros, ...after].slice(0, 4).join(":");
}
