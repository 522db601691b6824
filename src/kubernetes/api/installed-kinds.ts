import type { Clock } from "../../core/clock.ts";
import type { Random } from "../../core/random.ts";
import type { Log } from "../../registry/log.ts";
import type { Timers } from "../../registry/timers.ts";
import { type InstalledVersions, readDefinition } from "./definition.ts";
import type { KubeApi } from "./kube-api.ts";
import type { ApiResource, KubeObject } from "./objects.ts";
import { Reflector, type ReflectorListener, type ReflectorState } from "./reflector.ts";
import type { WantedKind } from "./wanted-kinds.ts";

const DEFINITIONS: ApiResource = {
  group: "apiextensions.k8s.io",
  version: "v1",
  kind: "CustomResourceDefinition",
  plural: "customresourcedefinitions",
  namespaced: false,
};

export interface InstalledKindsOptions {
  readonly api: Pick<KubeApi, "list" | "watch">;
  readonly wanted: readonly WantedKind[];
  /** Takes the objects of one kind, whatever version they come in; a kind that is uninstalled has none (`replaced([])`). */
  readonly listenerOf: (wanted: WantedKind) => ReflectorListener;
  readonly timers: Timers;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

export interface InstalledKindState extends ReflectorState {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
}

export interface InstalledKindsState {
  /** Of the definitions themselves. */
  readonly definitions: ReflectorState;
  /** Of every wanted kind that is installed. */
  readonly kinds: readonly InstalledKindState[];
}

interface Following {
  readonly resource: ApiResource;
  readonly reflector: Reflector;
}

/** A wanted kind that is installed. */
interface Installed {
  readonly wanted: WantedKind;
  readonly listener: ReflectorListener;
  /** Name of its definition. */
  readonly definition: string;
  current: Following;
  /** In another version or place; takes over with its first list. */
  next: Following | null;
}

/**
 * Follows the custom resources of the wanted kinds for as long as the cluster has them installed, each in the best version
 * that is served and understood. Which ones there are is learned from their definitions, as these come and go.
 */
export class InstalledKinds {
  readonly #options: InstalledKindsOptions;
  readonly #wanted: ReadonlyMap<string, WantedKind>;
  readonly #definitions: Reflector;
  /** By group and kind. */
  readonly #installed = new Map<string, Installed>();
  readonly #stopping = new Set<Promise<void>>();

  constructor(options: InstalledKindsOptions) {
    this.#options = options;
    this.#wanted = new Map(options.wanted.map((wanted) => [keyOf(wanted), wanted]));
    this.#definitions = this.#reflector(DEFINITIONS, {
      replaced: (items, resourceVersion) => this.#replaced(items, resourceVersion),
      changed: (definition, resourceVersion) => this.#changed(definition, resourceVersion),
      removed: ({ metadata }, resourceVersion) => this.#removed(metadata.name, resourceVersion),
      progressed: () => {},
    });
  }

  start(): void {
    this.#definitions.start();
  }

  /** No listener is called any more, from this call on. */
  async stop(): Promise<void> {
    const definitions = this.#definitions.stop();
    for (const { current, next } of this.#installed.values()) {
      this.#stop(current);
      if (next !== null) this.#stop(next);
    }
    await Promise.all([definitions, ...this.#stopping]);
  }

  /** Have the listeners had everything that there was of every installed kind? */
  isSynced(): boolean {
    if (!this.#definitions.state().synced) return false;
    return [...this.#installed.values()].every(({ current }) => current.reflector.state().synced);
  }

  state(): InstalledKindsState {
    return {
      definitions: this.#definitions.state(),
      kinds: [...this.#installed.values()].map(({ wanted: { group, kind }, current }) => ({
        ...{ group, kind, version: current.resource.version },
        ...current.reflector.state(),
      })),
    };
  }

  #replaced(definitions: readonly KubeObject[], resourceVersion: string): void {
    const names = new Set(definitions.map(({ metadata }) => metadata.name));
    for (const { definition } of [...this.#installed.values()]) {
      if (!names.has(definition)) this.#removed(definition, resourceVersion);
    }
    for (const definition of definitions) this.#changed(definition, resourceVersion);
  }

  #changed(definition: KubeObject, resourceVersion: string): void {
    const found = readDefinition(definition);
    if (found === null) return;
    const wanted = this.#wanted.get(keyOf(found));
    if (wanted === undefined) return;
    const resource = bestOf(found, wanted);
    const installed = this.#installed.get(keyOf(wanted));
    if (resource !== null) {
      if (installed === undefined) this.#install(wanted, definition.metadata.name, resource);
      else this.#move(installed, resource);
    } else {
      this.#options.log.warn("a kind is installed, but in no version that is understood", {
        ...{ group: wanted.group, kind: wanted.kind },
        ...{ served: found.served.join(" "), known: wanted.versions.join(" ") },
      });
      if (installed !== undefined) this.#uninstall(installed, resourceVersion);
    }
  }

  #removed(definition: string, resourceVersion: string): void {
    for (const installed of [...this.#installed.values()]) {
      if (installed.definition === definition) this.#uninstall(installed, resourceVersion);
    }
  }

  #install(wanted: WantedKind, definition: string, resource: ApiResource): void {
    const listener = this.#options.listenerOf(wanted);
    const current = { resource, reflector: this.#reflector(resource, listener) };
    this.#installed.set(keyOf(wanted), { wanted, listener, definition, current, next: null });
    const { group, kind, version } = resource;
    this.#options.log.info("following a kind that is installed", { group, kind, version });
    current.reflector.start();
  }

  /** What is known stays in use until everything has come in the other version. */
  #move(installed: Installed, resource: ApiResource): void {
    const { current, next, listener, wanted } = installed;
    if (next !== null && isSame(next.resource, resource)) return;
    if (next !== null) this.#stop(next);
    installed.next = null;
    if (isSame(current.resource, resource)) return;
    const following: Following = {
      resource,
      reflector: this.#reflector(resource, {
        replaced: (items, resourceVersion) => {
          if (installed.next === following) {
            this.#stop(installed.current);
            installed.current = following;
            installed.next = null;
          }
          listener.replaced(items, resourceVersion);
        },
        changed: (object, resourceVersion) => listener.changed(object, resourceVersion),
        removed: (object, resourceVersion) => listener.removed(object, resourceVersion),
        progressed: (resourceVersion) => listener.progressed(resourceVersion),
      }),
    };
    installed.next = following;
    const [from, to] = [current.resource.version, resource.version];
    this.#options.log.info("following a kind in another version", { kind: wanted.kind, from, to });
    following.reflector.start();
  }

  #uninstall({ wanted, listener, current, next }: Installed, resourceVersion: string): void {
    this.#installed.delete(keyOf(wanted));
    this.#stop(current);
    if (next !== null) this.#stop(next);
    const { group, kind } = wanted;
    this.#options.log.info("a kind is not installed any more", { group, kind });
    listener.replaced([], resourceVersion);
  }

  #stop({ reflector }: Following): void {
    const stopped = reflector.stop().finally(() => this.#stopping.delete(stopped));
    this.#stopping.add(stopped);
  }

  #reflector(resource: ApiResource, listener: ReflectorListener): Reflector {
    const { api, timers, clock, random, log } = this.#options;
    return new Reflector({ api, resource, listener, timers, clock, random, log });
  }
}

function keyOf({ group, kind }: { readonly group: string; readonly kind: string }): string {
  return `${group}/${kind}`;
}

function bestOf(found: InstalledVersions, wanted: WantedKind): ApiResource | null {
  const version = wanted.versions.find((one) => found.served.includes(one));
  const { group, kind, plural, namespaced } = found;
  return version === undefined ? null : { group, version, kind, plural, namespaced };
}

function isSame(a: ApiResource, b: ApiResource): boolean {
  return a.version === b.version && a.plural === b.plural && a.namespaced === b.namespaced;
}
