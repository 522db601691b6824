import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import { CORE_GROUP } from "../../dialects/envelope.ts";
import type { Log } from "../../registry/log.ts";
import type { Position } from "../../registry/position.ts";
import type { Timers } from "../../registry/timers.ts";
import { InstalledKinds } from "../api/installed-kinds.ts";
import type { KubeApi } from "../api/kube-api.ts";
import type { KubeObject } from "../api/objects.ts";
import { Reflector, type ReflectorListener, type ReflectorState } from "../api/reflector.ts";
import { wantedKinds } from "../api/wanted-kinds.ts";
import { CORE_KINDS } from "./core-kinds.ts";

export interface ClusterKindsOptions {
  readonly api: Pick<KubeApi, "list" | "watch">;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Takes an object as it is now; `list`: version of the list that it was in, null where it was told of by itself. */
  take(object: KubeObject, list: string | null): void;
  /** An object is gone. */
  remove(key: string): void;
  keyOf(object: KubeObject): string;
}

interface Following {
  readonly name: string;
  readonly reflector: Reflector;
}

/** Everything that is read of a cluster: the core kinds, and custom resources where they are installed. */
export class ClusterKinds {
  readonly #options: ClusterKindsOptions;
  readonly #core: readonly Following[];
  readonly #installed: InstalledKinds;
  /** Up to which version everything was told, by kind (`core/Service`). */
  readonly #seen = new Map<string, string>();
  /** Of the newest object or change that was told. */
  readonly #changed = new Map<string, string>();

  constructor(options: ClusterKindsOptions) {
    this.#options = options;
    const { api, timers, clock, random, log } = options;
    const shared = { api, timers, clock, random, log };
    this.#core = CORE_KINDS.map((resource) => {
      const name = nameOf(resource);
      return {
        name,
        reflector: new Reflector({ ...shared, resource, listener: this.#listenerOf(name) }),
      };
    });
    this.#installed = new InstalledKinds({
      ...{ ...shared, wanted: wantedKinds() },
      listenerOf: (kind) => this.#listenerOf(nameOf(kind)),
    });
  }

  start(): void {
    for (const { reflector } of this.#core) reflector.start();
    this.#installed.start();
  }

  async stop(): Promise<void> {
    const core = this.#core.map(({ reflector }) => reflector.stop());
    await Promise.all([...core, this.#installed.stop()]);
  }

  /** Was everything told once? */
  isComplete(): boolean {
    const isCore = this.#core.every(({ reflector }) => reflector.state().synced);
    return isCore && this.#installed.isSynced();
  }

  /** By name of the kind. */
  states(): ReadonlyMap<string, ReflectorState> {
    const { definitions, kinds } = this.#installed.state();
    return new Map([
      ...this.#core.map(({ name, reflector }): [string, ReflectorState] => [
        name,
        reflector.state(),
      ]),
      ["apiextensions.k8s.io/CustomResourceDefinition", definitions],
      ...kinds.map((state): [string, ReflectorState] => [nameOf(state), state]),
    ]);
  }

  /** Up to which versions everything was told, by kind, of those that there are. */
  seen(): Position {
    return this.#ofPresent(this.#seen);
  }

  /** The newest versions of what was told, by kind, of those that there are. */
  changed(): Position {
    return this.#ofPresent(this.#changed);
  }

  #ofPresent(versions: ReadonlyMap<string, string>): Position {
    const names = new Set(this.states().keys());
    return Object.fromEntries([...versions].filter(([name]) => names.has(name)));
  }

  #listenerOf(name: string): ReflectorListener {
    const { take, remove, keyOf } = this.#options;
    let keys = new Set<string>();
    const see = (version: string) => {
      if (version !== "") this.#seen.set(name, version);
    };
    const change = (version: string) => {
      const before = this.#changed.get(name) ?? "";
      if (version !== "") this.#changed.set(name, newerOf(before, version));
      see(version);
    };
    return {
      replaced(items, version) {
        const before = keys;
        keys = new Set(items.map((item) => keyOf(item)));
        const gone = [...before].filter((key) => !keys.has(key));
        for (const key of gone) remove(key);
        for (const item of items) {
          take(item, version);
          change(item.metadata.resourceVersion ?? "");
        }
        // When they went is not told; not after this.
        if (gone.length > 0) change(version);
        see(version);
      },
      changed(object, version) {
        keys.add(keyOf(object));
        take(object, null);
        change(version);
      },
      removed(object, version) {
        const key = keyOf(object);
        keys.delete(key);
        remove(key);
        change(version);
      },
      progressed: see,
    };
  }
}

/** Versions are numbers that grow; one that is none counts as the newest, as it came last. */
function newerOf(before: string, version: string): string {
  if (!/^\d+$/.test(before) || !/^\d+$/.test(version)) return version;
  return BigInt(before) > BigInt(version) ? before : version;
}

/** `core/Service`, `networking.istio.io/VirtualService`. */
function nameOf({ group, kind }: { readonly group: string; readonly kind: string }): string {
  return `${group === "" ? CORE_GROUP : group}/${kind}`;
}
