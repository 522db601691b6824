import { isIP, isIPv6 } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { canonicalAddress } from "../src/core/address.ts";
import { type Incapable, incapableInterfaces } from "./interfaces.ts";
import type { Family } from "./plan.ts";
import { CommandError, type Runner } from "./runner.ts";
import { setNames } from "./spec.ts";

export interface CaptureSetsOptions {
  readonly mode: "tproxy" | "redirect";
  readonly ipv6: boolean;
  /** Lifetime of the dead-man entries, in ms; rounded up to whole seconds. */
  readonly deadManMs: number;
  /** Waits so many ms; for tests. */
  readonly pause?: (ms: number) => Promise<unknown>;
}

/** Whoever lists sets at this moment keeps the kernel from swapping and destroying them (EBUSY). */
const BUSY = /Device or resource busy|in use by a kernel component/;
/** Together 2 s: a list of 65,536 addresses takes a fraction of one. */
const BUSY_ATTEMPTS = 20;
const BUSY_PAUSE_MS = 10;

/** hash:net holds no /0, so all addresses are two halves. */
const HALVES: Readonly<Record<Family, readonly string[]>> = {
  4: ["0.0.0.0/1", "128.0.0.0/1"],
  6: ["::/1", "8000::/1"],
};

/**
 * The sets that the installed rules look at. Each call is one `ipset` process (and, for workloads, a few that
 * read), and calls run one after the other. `install` must have made the sets.
 */
export class CaptureSets {
  readonly #runner: Runner;
  readonly #options: CaptureSetsOptions;
  readonly #families: readonly Family[];
  #tail: Promise<unknown> = Promise.resolve();

  constructor(runner: Runner, options: CaptureSetsOptions) {
    this.#runner = runner;
    this.#options = options;
    this.#families = options.ipv6 ? [4, 6] : [4];
  }

  /**
   * Makes these the captured addresses, in one exchange: a packet sees the old set or the new one. Addresses
   * behind an interface where this mode would lose their connections stay out, and so are direct; they are
   * the result.
   * @throws RangeError where a text is no address; nothing is changed then.
   */
  syncWorkloads(addresses: readonly string[]): Promise<readonly Incapable[]> {
    return this.#inTurn(async () => {
      const wanted = canonical(addresses);
      const refused = await incapableInterfaces(this.#options.mode, wanted, this.#runner);
      const left = new Set(refused.map((entry) => entry.address));
      const kept = wanted.filter((address) => !left.has(address));
      await this.#exchange((family) => setNames(family).workloads, kept);
      return refused;
    });
  }

  /**
   * Makes these the guarded addresses: plaintext from outside to them is captured too.
   * @throws RangeError where a text is no address; nothing is changed then.
   */
  syncGuarded(addresses: readonly string[]): Promise<void> {
    return this.#inTurn(() =>
      this.#exchange((family) => setNames(family).guarded, canonical(addresses)),
    );
  }

  /** Addresses that are local to this host and yet services (`ipvsAddresses`): captured all the same. */
  syncVirtualAddresses(addresses: readonly string[]): Promise<void> {
    return this.#inTurn(() =>
      this.#exchange((family) => setNames(family).virtual, canonical(addresses)),
    );
  }

  /** The daemon lives: capture goes on for `deadManMs` from now. */
  refreshAlive(): Promise<void> {
    const seconds = Math.max(1, Math.ceil(this.#options.deadManMs / 1_000));
    return this.#eachHalf((set, half) => `add ${set} ${half} timeout ${seconds} -exist\n`);
  }

  /** Ends capture of new connections at once, as if the daemon had died. */
  expireAlive(): Promise<void> {
    return this.#eachHalf((set, half) => `del ${set} ${half} -exist\n`);
  }

  #eachHalf(line: (set: string, half: string) => string): Promise<void> {
    const lines = this.#families.flatMap((family) =>
      HALVES[family].map((half) => line(setNames(family).alive, half)),
    );
    return this.#inTurn(() => this.#restore(lines.join("")));
  }

  async #exchange(name: (family: Family) => string, addresses: readonly string[]): Promise<void> {
    let script = "";
    for (const family of this.#families) {
      const set = name(family);
      const next = `${set}-${process.pid}`;
      const inet = family === 4 ? "inet" : "inet6";
      script += `create ${next} hash:ip family ${inet} maxelem 65536 -exist\nflush ${next}\n`;
      for (const address of addresses) {
        if (isIPv6(address) === (family === 6)) script += `add ${next} ${address} -exist\n`;
      }
      script += `swap ${next} ${set}\ndestroy ${next}\n`;
    }
    await this.#restoreWhenIdle(script);
  }

  /** The script may be run again from its start, wherever it has stopped. */
  async #restoreWhenIdle(script: string): Promise<void> {
    const { pause = sleep } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#restore(script);
      } catch (error) {
        const isBusy = error instanceof CommandError && BUSY.test(error.stderr);
        if (!isBusy || attempt === BUSY_ATTEMPTS) throw error;
        await pause(BUSY_PAUSE_MS * attempt);
      }
    }
  }

  async #restore(script: string): Promise<void> {
    await this.#runner.run("ipset", ["restore"], script);
  }

  /** A failed call does not hold up the next. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work, work);
    this.#tail = result.then(
      () => undefined,
      () => undefined,
    );
    return result;
  }
}

function canonical(addresses: readonly string[]): string[] {
  for (const address of addresses) {
    if (isIP(address) === 0 || address.includes("%")) {
      throw new RangeError(`capture: ${JSON.stringify(address)} is no address of a workload`);
    }
  }
  return [...new Set(addresses.map(canonicalAddress))];
}
