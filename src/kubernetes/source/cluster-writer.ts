import { setImmediate as nextTurn } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import type { Clock } from "../../core/clock.ts";
import { HOST_NAMESPACE, SYSTEM_NAMESPACE } from "../../core/identity.ts";
import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import { CORE_GROUP, groupVersionOf } from "../../dialects/envelope.ts";
import { knownPart } from "../../dialects/known-part.ts";
import { placeOfLabels } from "../../dialects/kubernetes/node.ts";
import { type IdentifiedResource, identify } from "../../dialects/translate.ts";
import { type ClusterRules, keyOfResource } from "../../dialects/translator.ts";
import type { Catalog } from "../../registry/catalog.ts";
import type { Log } from "../../registry/log.ts";
import type { ResourcePlanSettings } from "../../registry/plan-resource.ts";
import type { Timers } from "../../registry/timers.ts";
import type { Writer } from "../../registry/writer.ts";
import type { KubeObject } from "../api/objects.ts";
import { applyChanges, type ClusterChanges, type Refusal, refusalOf } from "./apply-changes.ts";
import { HostTable } from "./host-table.ts";
import { type PendingChange, PendingChanges, type PendingResource } from "./pending-changes.ts";
import { type PodFacts, podFactsOf } from "./pod-facts.ts";
import { keyOfPod, PodTable } from "./pod-table.ts";
import { RefusedResources } from "./refused-resources.ts";
import { type Content, isSlim, slim } from "./slim.ts";

/** Changes that come together are written together; kube-proxy waits as long for the next (its minSyncPeriod is 1 s). */
const GATHER_MS = 50;
/** What one write may weigh: it is planned in one turn of the event loop. */
const MAX_WEIGHT = 500;
/** And so many workloads, which are small. */
const MAX_WORKLOADS = 2_000;
const RETRY_MS = 1_000;
/** Refused for what another has, and tried again with a write. */
const MAX_AGAIN = 32;

export interface ClusterWriterDeps {
  readonly catalog: Catalog;
  readonly writer: Writer;
  readonly settings: ResourcePlanSettings;
  readonly rules: ClusterRules;
  readonly wall: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

/** Brings what a cluster has into the registry: gathers changes, translates them, and says what was refused. */
export class ClusterWriter {
  readonly refused = new RefusedResources();
  readonly #deps: ClusterWriterDeps;
  readonly #pods: PodTable;
  readonly #hosts: HostTable;
  readonly #facts = new Map<string, PodFacts>();
  readonly #pending = new PendingChanges();
  /** Being written now. */
  readonly #inFlight = new Map<string, Content | null>();
  /** To be translated anew, because of what was written. */
  #stale: readonly string[] = [];
  /** Of what was refused: the same again need not be tried. */
  readonly #refusedContents = new Map<string, Content>();
  /** Refused for what another resource has. */
  readonly #conflicts = new Map<string, PendingResource>();
  /** Of resources with fields that are not known, which these are, and what the resource was with them. */
  readonly #unknown = new Map<string, { readonly fields: readonly string[]; content: Content }>();
  #running: Promise<boolean> | null = null;
  #cancelGather: (() => void) | null = null;
  #closed = false;

  constructor(deps: ClusterWriterDeps) {
    this.#deps = deps;
    this.#pods = new PodTable(deps.rules);
    this.#hosts = new HostTable(deps.rules.meshNamespace);
  }

  /** Fields that the resources have and nobody here knows, by key. */
  unknownFields(limit: number): Readonly<Record<string, readonly string[]>> {
    const some = [...this.#unknown].slice(0, limit);
    return Object.fromEntries(some.map(([key, { fields }]) => [key, fields]));
  }

  /** Is everything written that was taken? */
  get isSettled(): boolean {
    return !this.#hasWork() && this.#inFlight.size === 0;
  }

  /** Takes an object as it is now, or as it was in a list of that version. Never throws for what it holds. */
  take(object: KubeObject, list: string | null): void {
    const key = keyOfObject(object);
    const { kind, apiVersion, metadata } = object;
    const isCore = apiVersion === "v1";
    const isOver = isCore && kind === "Pod" && !this.#takePod(object, list);
    if (isOver || isOwn(object)) {
      this.#forget(key);
      return;
    }
    const content = slim(object);
    if (isDeepStrictEqual(content, this.#known(key))) {
      this.#settle();
      return;
    }
    if (isCore && kind === "Namespace") {
      const { labels = {}, annotations = {} } = metadata;
      this.#pods.setNamespace(metadata.name, { labels, annotations });
    }
    if (isCore && kind === "Node") {
      this.#hosts.setNode(metadata.name, placeOfLabels(metadata.labels ?? {}));
    }
    this.#pending.put({ key, object, content });
    this.#settle();
  }

  /** An object is gone. */
  remove(key: string): void {
    const [group, kind, namespace = "", name = ""] = key.split("/");
    if (group === CORE_GROUP && kind === "Pod") this.#removePod(keyOfPod({ namespace, name }));
    if (group === CORE_GROUP && kind === "Namespace") this.#pods.setNamespace(name, null);
    if (group === CORE_GROUP && kind === "Node") this.#hosts.removeNode(name);
    this.#forget(key);
  }

  /** Writes all that was taken, without gathering more. Rejects where the registry does not take it. */
  async flush(): Promise<void> {
    this.#cancelGather?.();
    this.#cancelGather = null;
    while (!this.isSettled && !this.#closed) {
      if (!(await this.#run())) throw new Error("what the cluster has could not be written");
    }
  }

  /** Nothing is written any more, from the end of this call on. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelGather?.();
    await this.#running;
  }

  /** True: the pod is there. */
  #takePod(object: KubeObject, list: string | null): boolean {
    const key = keyOfPod(object.metadata);
    const facts = podFactsOf(object);
    if (facts === null) {
      this.#removePod(key);
      return false;
    }
    if (isDeepStrictEqual(this.#facts.get(key), facts)) return true;
    this.#facts.set(key, facts);
    this.#pods.set(key, facts, { list, version: object.metadata.resourceVersion ?? "" });
    this.#hosts.set(key, facts);
    return true;
  }

  #removePod(key: string): void {
    if (!this.#facts.delete(key)) return;
    this.#pods.remove(key);
    this.#hosts.set(key, null);
  }

  /** Its resource is not there any more, if it was. */
  #forget(key: string): void {
    this.#unknown.delete(key);
    this.#refusedContents.delete(key);
    this.#conflicts.delete(key);
    this.refused.update([key], []);
    const { catalog } = this.#deps;
    const isThere = catalog.get("resource", key) !== undefined || this.#inFlight.has(key);
    if (isThere) this.#pending.put({ key, content: null });
    else this.#pending.delete(key);
    this.#settle();
  }

  /** What the registry has of it, or is about to. */
  #known(key: string): Content | null {
    const pending = this.#pending.get(key);
    if (pending !== undefined) return pending.content;
    const inFlight = this.#inFlight.get(key);
    if (inFlight !== undefined) return inFlight;
    const before = this.#refusedContents.get(key) ?? this.#unknown.get(key)?.content;
    return before ?? this.#deps.catalog.get("resource", key)?.content ?? null;
  }

  /** Writes soon, if there is something to write. */
  #settle(): void {
    if (this.#hasWork()) this.#gather(GATHER_MS);
  }

  #hasWork(): boolean {
    const isLeft = this.#pending.size > 0 || this.#stale.length > 0;
    return isLeft || this.#pods.isDirty || this.#hosts.isDirty;
  }

  #gather(waitMs: number): void {
    if (this.#cancelGather !== null || this.#running !== null || this.#closed) return;
    this.#cancelGather = this.#deps.timers.after(waitMs, () => {
      this.#cancelGather = null;
      void this.#run().then(() => {
        if (!this.isSettled) this.#gather(RETRY_MS);
      });
    });
  }

  #run(): Promise<boolean> {
    this.#running ??= this.#drain().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Ends when everything is written, or (false) a write has failed. */
  async #drain(): Promise<boolean> {
    while (!this.#closed && !this.isSettled) {
      if (!(await this.#write())) return false;
      await nextTurn();
    }
    return true;
  }

  async #write(): Promise<boolean> {
    const { writer, wall, settings, log } = this.#deps;
    const taken = this.#pending.take(MAX_WEIGHT);
    for (const { key, content } of taken) {
      this.#inFlight.set(key, content);
      this.#conflicts.delete(key);
    }
    const put = [...this.#again(taken.length > 0), ...taken.flatMap(toResource)];
    const resources = put.flatMap((change) => this.#identify(change));
    const changes: ClusterChanges = {
      ...{ stale: this.#stale, resources },
      removed: taken.flatMap(({ key, content }) => (content === null ? [key] : [])),
      workloads: this.#pods.takeChanged(MAX_WORKLOADS),
      hosts: this.#hosts.takeChanged(),
    };
    try {
      const change = { atMs: wall.now(), by: "kubernetes" };
      const { result } = await writer.run((draft) =>
        applyChanges(draft, changes, settings, change),
      );
      this.#stale = result.stale;
      for (const reason of result.unusable) log.warn("no record can be made of it", { reason });
      const known = new Set(resources.map(({ key }) => key));
      this.#report(
        put.filter(({ key }) => known.has(key)),
        result.refusals,
      );
      return true;
    } catch (error) {
      if (!this.#closed) log.error("what the cluster has could not be written", { error });
      this.#pending.giveBack(taken);
      this.#pods.giveBack(changes.workloads);
      this.#hosts.giveBack(changes.hosts);
      return false;
    } finally {
      this.#inFlight.clear();
    }
  }

  /** Finds out what a resource is, and leaves out of it what is not known; nothing where it is refused for that already. */
  #identify(change: PendingResource): IdentifiedResource[] {
    const { key, object, content } = change;
    this.#unknown.delete(key);
    try {
      const resource = identify(content);
      if (isSlim(object)) return [resource];
      const { content: known, unknown } = knownPart(resource);
      if (unknown.length > 0) this.#unknown.set(key, { fields: unknown, content });
      return [{ ...resource, content: known }];
    } catch (error) {
      this.#refuse([{ ...refusalOf(key, error), object, content }]);
      return [];
    }
  }

  /** Some of those that were refused for what another has: it may have changed. */
  #again(isWorthIt: boolean): PendingResource[] {
    if (!isWorthIt) return [];
    const again = [...this.#conflicts.values()]
      .slice(0, MAX_AGAIN)
      .filter(({ key }) => this.#pending.get(key) === undefined && !this.#inFlight.has(key));
    // Those that were tried go to the end.
    for (const change of again) {
      this.#conflicts.delete(change.key);
      this.#conflicts.set(change.key, change);
    }
    return again;
  }

  #report(put: readonly PendingResource[], refusals: readonly Refusal[]): void {
    const refused = new Map(refusals.map((refusal) => [refusal.key, refusal]));
    const settled = put.filter(({ key }) => !refused.has(key)).map(({ key }) => key);
    for (const key of settled) {
      this.#refusedContents.delete(key);
      this.#conflicts.delete(key);
    }
    this.refused.update(settled, []);
    this.#refuse(
      put.flatMap((change) => {
        const refusal = refused.get(change.key);
        if (refusal === undefined) return [];
        if (refusal.isConflict) this.#conflicts.set(change.key, change);
        return [{ ...refusal, object: change.object, content: change.content }];
      }),
    );
  }

  #refuse(all: readonly (Refusal & { object: KubeObject; content: Content })[]): void {
    for (const { key, content, issues } of all) {
      if (this.refused.get(key) === undefined) {
        const [first] = issues;
        const { path, reason } = first ?? { path: "", reason: "" };
        this.#deps.log.warn("a resource is refused", { key, path, reason });
      }
      this.#refusedContents.set(key, content);
    }
    this.refused.update(
      [],
      all.map(({ key, object, issues }) => ({ key, object, issues })),
    );
  }
}

function toResource(change: PendingChange): PendingResource[] {
  return change.content === null ? [] : [change];
}

/** The registry's key of an object; those without a namespace have the default one. */
export function keyOfObject({ apiVersion, kind, metadata }: KubeObject): string {
  const { group } = groupVersionOf(apiVersion);
  const { namespace = DEFAULT_NAMESPACE, name } = metadata;
  return keyOfResource({ group, kind, namespace, name });
}

/** What runs in the mesh's own namespaces is no part of the mesh; resources there may be for all of it. */
function isOwn({ kind, metadata: { namespace = "" } }: KubeObject): boolean {
  const isOfMesh = namespace === SYSTEM_NAMESPACE || namespace === HOST_NAMESPACE;
  return isOfMesh && ["Pod", "Service", "EndpointSlice"].includes(kind);
}
