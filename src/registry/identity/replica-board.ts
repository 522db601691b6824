import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import * as z from "zod";
import type { Clock } from "../../core/clock.ts";
import type { Timers } from "../timers.ts";
import { followStore } from "./follow-store.ts";
import { PrivateConflictError, type PrivateStore } from "./private-store.ts";

/** What one registry knows of a host that its daemon has told it. */
const hostFacts = z.object({
  /** It watches here now. */
  connected: z.boolean(),
  /** Its daemon has taken the trust that the notice names. */
  trusts: z.boolean(),
  /** All certificates that it uses are of the authority that signs now; null: it does not say. */
  renewed: z.boolean().nullable(),
});
const noticeSchema = z.object({
  format: z.literal("hostmesh-replica/1"),
  /** Grows with each writing: the sign of life. */
  beat: z.number().int(),
  /** Hash of the anchors and the issuer that this registry publishes. */
  trust: z.string(),
  hosts: z.record(z.string(), hostFacts),
  /** Where the others reach its TLS port; absent: it has none, or is older. */
  url: z.exactOptional(
    z
      .string()
      .max(512)
      .regex(/^https:\/\/[^/]+$/),
  ),
});
export type HostFacts = z.infer<typeof hostFacts>;
export type ReplicaNotice = Omit<z.infer<typeof noticeSchema>, "format" | "beat">;

/** Changes are put together for so long. */
const GATHER_MS = 500;
/** A sign of life comes at least so often. */
const BEAT_MS = 10_000;
/** Who has given none for so long is gone. By this registry's own clock, so that clocks need not agree. */
const GONE_MS = 3 * BEAT_MS;
/** What those leave who are long gone is taken away by whoever sees it. */
const FORGOTTEN_MS = 10 * BEAT_MS;

export interface ReplicaBoardOptions {
  readonly store: PrivateStore;
  readonly clock: Clock;
  readonly timers: Timers;
  /** What this registry has to say now. */
  notice(): ReplicaNotice;
  /** Another registry says something else than before, has come or is gone. */
  changed(): void;
  warn(message: string, facts?: Record<string, unknown>): void;
}

interface Other {
  readonly content: string;
  readonly notice: ReplicaNotice;
  readonly heardMs: number;
}

const PREFIX = "replica-";

/** What the registries that share a private store tell each other; each writes an entry of its own. */
export class ReplicaBoard {
  readonly #options: ReplicaBoardOptions;
  readonly #name = `${PREFIX}${randomBytes(6).toString("hex")}.json`;
  readonly #others = new Map<string, Other>();
  #version: string | null = null;
  #beat = 0;
  #url: string | null = null;
  #told: ReplicaNotice | null = null;
  #toldMs = 0;
  #isDue = false;
  #writing: Promise<void> | null = null;
  #cancel: () => void = () => undefined;
  #cancelGather: (() => void) | null = null;
  #unfollow: () => void = () => undefined;
  #closed = false;
  #isFailing = false;

  constructor(options: ReplicaBoardOptions) {
    this.#options = options;
  }

  /** Resolves when this registry's entry is written and those of others are read. */
  async start(): Promise<void> {
    const { store, timers, warn } = this.#options;
    if (store.watch === undefined) return;
    this.#unfollow = followStore({
      ...{ store, timers },
      isWanted: (name) => name.startsWith(PREFIX) && name !== this.#name,
      look: (name) => this.#look(name),
      failed: (name, error) => warn("another registry's entry cannot be read", { name, error }),
    });
    const names = await store.list();
    await Promise.all(
      names
        .filter((name) => name.startsWith(PREFIX) && name !== this.#name)
        .map((name) => this.#look(name)),
    );
    this.#isDue = true;
    await this.#write();
    this.#tick();
  }

  /** What the other registries say that are there. */
  others(): ReplicaNotice[] {
    const sinceMs = this.#options.clock.now() - GONE_MS;
    const alive = [...this.#others.values()].filter(({ heardMs }) => heardMs > sinceMs);
    return alive.map(({ notice }) => notice);
  }

  /** How many daemons watch each of them. */
  watching(): number[] {
    const connected = ({ hosts }: ReplicaNotice) =>
      Object.values(hosts).filter((facts) => facts.connected).length;
    return this.others().map(connected);
  }

  /** Tells the others where this registry's TLS port is. */
  announce(url: string): void {
    this.#url = url;
    this.touch();
  }

  /** What this registry has to say may have changed. */
  touch(): void {
    const { store, timers } = this.#options;
    if (store.watch === undefined || this.#closed || this.#cancelGather !== null) return;
    this.#cancelGather = timers.after(GATHER_MS, () => {
      this.#cancelGather = null;
      this.#isDue = true;
      void this.#write();
    });
  }

  /** Takes this registry's entry away, so that nobody waits for it. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancel();
    this.#cancelGather?.();
    this.#unfollow();
    await this.#writing;
    if (this.#version === null) return;
    await this.#options.store.remove(this.#name, this.#version).catch(() => undefined);
  }

  #tick(): void {
    const { clock, timers } = this.#options;
    this.#cancel = timers.after(BEAT_MS / 2, () => {
      if (clock.now() - this.#toldMs >= BEAT_MS) this.#isDue = true;
      void this.#write();
      this.#forget();
      this.#tick();
    });
  }

  async #look(name: string): Promise<void> {
    const { store, clock, changed } = this.#options;
    const entry = await store.read(name);
    const before = this.#others.get(name);
    if (entry === null) {
      if (this.#others.delete(name)) changed();
      return;
    }
    if (before?.content === entry.content) return;
    const notice = readNotice(entry.content);
    if (notice === null) return;
    const heardMs = clock.now();
    this.#others.set(name, { content: entry.content, notice, heardMs });
    if (!isDeepStrictEqual(before?.notice, notice)) changed();
  }

  #forget(): void {
    const { clock, changed } = this.#options;
    const now = clock.now();
    for (const [name, { heardMs, content }] of this.#others) {
      const silentMs = now - heardMs;
      if (silentMs > GONE_MS && silentMs <= GONE_MS + BEAT_MS) changed();
      if (silentMs <= FORGOTTEN_MS) continue;
      this.#others.delete(name);
      void this.#remove(name, content);
    }
  }

  /** Not where it has written again; others may do the same at the same time. */
  async #remove(name: string, content: string): Promise<void> {
    const { store } = this.#options;
    try {
      const entry = await store.read(name);
      if (entry?.content === content) await store.remove(name, entry.version);
    } catch (error) {
      if (error instanceof PrivateConflictError) return;
      this.#options.warn("the entry of a registry that is gone stays", { name, error });
    }
  }

  /** One writing at a time; what is due meanwhile follows. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeDue().finally(() => {
      this.#writing = null;
    });
    return this.#writing;
  }

  async #writeDue(): Promise<void> {
    const { store, clock, warn } = this.#options;
    while (this.#isDue && !this.#closed) {
      this.#isDue = false;
      const url = this.#url === null ? {} : { url: this.#url };
      const notice: ReplicaNotice = { ...this.#options.notice(), ...url };
      const isNews = !isDeepStrictEqual(notice, this.#told);
      if (!isNews && clock.now() - this.#toldMs < BEAT_MS) continue;
      const content = { format: "hostmesh-replica/1", beat: ++this.#beat, ...notice };
      try {
        this.#version = await store.write(this.#name, JSON.stringify(content), this.#version);
        this.#told = notice;
        this.#toldMs = clock.now();
        this.#isFailing = false;
      } catch (error) {
        // Nobody else writes this entry: it was written after all, or taken away.
        if (error instanceof PrivateConflictError) await this.#readOwnVersion();
        if (!this.#isFailing) warn("this registry cannot tell the others what it knows", { error });
        this.#isFailing = true;
        this.#toldMs = Number.NEGATIVE_INFINITY;
      }
    }
  }

  async #readOwnVersion(): Promise<void> {
    const entry = await this.#options.store.read(this.#name).catch(() => null);
    this.#version = entry?.version ?? null;
  }
}

/** Null: a newer registry's, or nobody's; it says nothing. */
function readNotice(content: string): ReplicaNotice | null {
  try {
    const { format: _, beat: __, ...notice } = noticeSchema.parse(JSON.parse(content));
    return notice;
  } catch {
    return null;
  }
}
