import type { Runner } from "../../iptables/runner.ts";
import type { Timers } from "../../src/registry/timers.ts";
import type { Log } from "../../src/telemetry/log.ts";
import type { TiedAddress } from "../local-workloads.ts";
import { type Attachment, findAttachment, presentLinks } from "./find-attachment.ts";
import { bootId, readLifetimes, type SavedLifetime, writeLifetimes } from "./lifetime-file.ts";
import type { LinkEvent } from "./link-event.ts";
import { LinkMonitor } from "./link-monitor.ts";

/** Lookups at a time: each is a few short commands. */
const LOOKUPS = 4;
/** An address that is not to be found yet is looked up again after this long, then ever less often. */
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 60_000;

export interface AddressLifetimesOptions {
  readonly runner: Runner;
  /** See `LinkMonitorOptions`. */
  readonly monitor?: readonly string[];
  /** Where it is kept over a restart. */
  readonly path: string;
  readonly timers: Timers;
  readonly log: Log;
  /** Makes a container at the address be heard of by its bridge. */
  poke(address: string): void;
  /** The container with this `uid` has left the address. */
  onLeft(tied: TiedAddress): void;
}

interface Lifetime {
  readonly uid: string;
  /** Null: not found yet, or not to be found. */
  attachment: Attachment | null;
  attempts: number;
  cancelRetry: (() => void) | null;
}

/**
 * Ties each address of a local workload to the link of its container, and tells the moment that link goes: the address
 * may belong to another container then, long before the registry knows, or while it cannot be asked.
 */
export class AddressLifetimes {
  readonly #options: AddressLifetimesOptions;
  readonly #monitor: LinkMonitor;
  readonly #lives = new Map<string, Lifetime>();
  /** What an earlier run knew, until it is found again. */
  readonly #saved = new Map<string, SavedLifetime>();
  #left: readonly TiedAddress[] = [];
  #boot = "";
  #isFollowing = false;
  #closed = false;
  #queue: string[] = [];
  #busy = 0;
  #idle = Promise.withResolvers<void>();
  #written = "";
  #writing: Promise<void> = Promise.resolve();
  #checking: Promise<void> | null = null;

  constructor(options: AddressLifetimesOptions) {
    this.#options = options;
    const { monitor, timers, log } = options;
    this.#monitor = new LinkMonitor({
      ...(monitor === undefined ? {} : { command: monitor }),
      ...{ timers, log },
      onEvent: (event) => this.#take(event),
      onGap: () => this.#check(),
    });
    this.#idle.resolve();
  }

  /** Reads what was known before, and resolves with the addresses that had been left then. */
  async open(): Promise<TiedAddress[]> {
    const { path, log } = this.#options;
    const left: TiedAddress[] = [];
    try {
      this.#boot = await bootId();
      for (const saved of await readLifetimes(path, this.#boot)) {
        const { address, uid, index } = saved;
        if (index === null) left.push({ address, uid });
        else this.#saved.set(address, saved);
      }
    } catch (error) {
      log.warn("what is known of the links of containers cannot be read", { path, error });
    }
    return left;
  }

  /** `tied`: all addresses to follow; `left`: those whose container has left them, to be remembered. */
  set(tied: readonly TiedAddress[], left: readonly TiedAddress[]): void {
    this.#left = left;
    const wanted = new Map(tied.map(({ address, uid }) => [address, uid]));
    for (const [address, life] of this.#lives) {
      if (wanted.get(address) !== life.uid) this.#forget(address, life);
    }
    for (const [address, uid] of wanted) {
      if (this.#lives.has(address)) continue;
      this.#lives.set(address, { uid, attachment: null, attempts: 0, cancelRetry: null });
      this.#lookUp(address);
    }
    if (wanted.size > 0 && !this.#isFollowing && !this.#closed) {
      this.#isFollowing = true;
      this.#monitor.start();
    }
    this.#save();
  }

  /** Resolves when every address was looked up once, and at the latest after so long. */
  async settled(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#options.timers.after(timeoutMs, resolve);
    await Promise.race([this.#idle.promise, promise]);
    cancel();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#monitor.stop();
    for (const [address, life] of this.#lives) this.#forget(address, life);
    this.#queue = [];
    await this.#writing;
  }

  #forget(address: string, { cancelRetry }: Lifetime): void {
    cancelRetry?.();
    this.#lives.delete(address);
  }

  #take(event: LinkEvent): void {
    for (const [address, life] of [...this.#lives]) {
      const { attachment } = life;
      if (attachment === null) {
        if ("address" in event && event.address === address) this.#lookUp(address);
      } else if (isEnd(event, address, attachment)) this.#leave(address, life);
    }
  }

  #leave(address: string, life: Lifetime): void {
    if (this.#lives.get(address) !== life) return;
    this.#forget(address, life);
    const { uid, attachment } = life;
    this.#options.log.info("an address has lost its container, and belongs to nobody for now", {
      ...{ address, uid, link: attachment?.device },
    });
    this.#options.onLeft({ address, uid });
  }

  #lookUp(address: string): void {
    if (this.#queue.includes(address)) return;
    if (this.#queue.length + this.#busy === 0) this.#idle = Promise.withResolvers();
    this.#queue.push(address);
    while (this.#busy < LOOKUPS && this.#queue.length > 0) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy++;
    for (let address = this.#queue.shift(); address !== undefined; address = this.#queue.shift()) {
      const life = this.#lives.get(address);
      if (life !== undefined && !this.#closed) await this.#find(address, life);
    }
    this.#busy--;
    if (this.#busy === 0) this.#idle.resolve();
  }

  async #find(address: string, life: Lifetime): Promise<void> {
    const { runner, poke } = this.#options;
    life.cancelRetry?.();
    if (life.attempts > 0) poke(address);
    const found = await findAttachment(runner, address).catch((error: unknown) => {
      this.#complain(error);
      return "unknown" as const;
    });
    if (this.#lives.get(address) !== life) return;
    if (found === "unknown") return this.#retry(address, life);
    if (found === "elsewhere") return;
    const { attachment } = life;
    const before = attachment?.index ?? this.#savedIndex(address, life.uid);
    life.attachment = found;
    this.#saved.delete(address);
    if (before !== null && before !== found.index) this.#leave(address, life);
    this.#save();
  }

  #savedIndex(address: string, uid: string): number | null {
    const saved = this.#saved.get(address);
    return saved?.uid === uid ? saved.index : null;
  }

  #retry(address: string, life: Lifetime): void {
    if (life.attachment !== null) return;
    const delayMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(life.attempts, 20));
    life.attempts++;
    life.cancelRetry = this.#options.timers.after(delayMs, () => this.#lookUp(address));
  }

  /** Compares everything with what is there: events may have been missed. */
  #check(): void {
    this.#checking ??= this.#compare()
      .catch((error: unknown) => this.#complain(error))
      .finally(() => {
        this.#checking = null;
      });
  }

  async #compare(): Promise<void> {
    const before = [...this.#lives];
    const present = await presentLinks(this.#options.runner);
    for (const [address, life] of before) {
      if (life.attachment === null) continue;
      if (!present.has(life.attachment.index)) this.#leave(address, life);
      else this.#lookUp(address);
    }
  }

  #complain(error: unknown): void {
    this.#options.log.warn("the links of containers cannot be looked up", { error });
  }

  #save(): void {
    const { path, log } = this.#options;
    if (this.#boot === "" || this.#closed) return;
    const found = [...this.#lives].flatMap(([address, { uid, attachment }]) => {
      const index = attachment?.index ?? this.#savedIndex(address, uid);
      return index === null ? [] : [{ address, uid, index }];
    });
    const gone = this.#left.map((tied) => ({ ...tied, index: null }));
    const text = JSON.stringify([...found, ...gone]);
    if (text === this.#written) return;
    this.#written = text;
    this.#writing = this.#writing
      .then(() =>
        text === this.#written ? writeLifetimes(path, this.#boot, [...found, ...gone]) : undefined,
      )
      .catch((error: unknown) => {
        log.warn("what is known of the links of containers cannot be kept", { path, error });
      });
  }
}

/** Does the event say that the container is not there any more, or that somebody else is? */
function isEnd(event: LinkEvent, address: string, attachment: Attachment): boolean {
  const { index, device, via, mac } = attachment;
  switch (event.kind) {
    case "link-gone":
      return event.index === index;
    case "route":
      return event.address === address && event.device !== via;
    case "neighbour":
      return event.address === address && mac !== null && event.mac !== mac;
    case "port":
      return event.mac === mac && event.device !== device && event.device !== via;
  }
}
