import type { TestContext } from "node:test";
import type { KubeApi } from "../../../src/kubernetes/api/kube-api.ts";
import type { ApiResource, KubeObject } from "../../../src/kubernetes/api/objects.ts";
import {
  Reflector,
  type ReflectorListener,
  type ReflectorOptions,
} from "../../../src/kubernetes/api/reflector.ts";
import { HandTimers } from "../../helpers/hand-timers.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { until } from "../../helpers/until.ts";
import { keepingLog } from "../../registry/setup.ts";

export const PODS: ApiResource = {
  ...{ group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true },
};

export function podOf(name: string, labels: Record<string, string> = {}) {
  return { apiVersion: "v1", kind: "Pod", metadata: { name, labels }, spec: {} };
}

/** `letter`: `<` comes six times as long from a server that is written in Go. */
export function hugePod(name: string, lengthBytes: number, letter = "x") {
  const { metadata, ...pod } = podOf(name);
  return { ...pod, metadata: { ...metadata, annotations: { note: letter.repeat(lengthBytes) } } };
}

/** Holds what a listener is told of, and how. */
export class Mirror implements ReflectorListener {
  readonly held = new Map<string, KubeObject>();
  /** `replaced 3`, `changed a`, `removed a`, `progressed`. */
  readonly told: string[] = [];
  newest = "";
  /** Thrown at the next change. */
  failure: Error | null = null;

  get names(): string {
    return [...this.held.keys()].sort().join(" ");
  }

  replaced(items: readonly KubeObject[], resourceVersion: string): void {
    this.held.clear();
    for (const item of items) this.held.set(item.metadata.name, item);
    this.#tell(`replaced ${items.length}`, resourceVersion);
  }

  changed(object: KubeObject, resourceVersion: string): void {
    this.held.set(object.metadata.name, object);
    this.#tell(`changed ${object.metadata.name}`, resourceVersion);
  }

  removed(object: KubeObject, resourceVersion: string): void {
    this.held.delete(object.metadata.name);
    this.#tell(`removed ${object.metadata.name}`, resourceVersion);
  }

  progressed(resourceVersion: string): void {
    this.#tell("progressed", resourceVersion);
  }

  #tell(what: string, resourceVersion: string): void {
    this.told.push(what);
    this.newest = resourceVersion;
    const { failure } = this;
    this.failure = null;
    if (failure !== null) throw failure;
  }
}

export interface ReflectorLab {
  readonly server: KubeApiServer;
  readonly api: KubeApi;
  readonly mirror: Mirror;
  readonly reflector: Reflector;
  readonly time: HandTimers;
  readonly log: ReturnType<typeof keepingLog>;
  /** Waits until that many watches were asked for, and the client knows that one is open. */
  watching(count: number): Promise<void>;
  /** Waits for the pause that a failure brings, and returns it, in ms. */
  paused(): Promise<number>;
}

/** A reflector of pods whose time is moved by hand; `random` is 0 unless told. */
export async function reflectorLab(
  t: TestContext,
  options: Partial<ReflectorOptions> & { readonly server?: KubeApiServer } = {},
): Promise<ReflectorLab> {
  const { server = await KubeApiServer.start(t), ...others } = options;
  const [mirror, time, log] = [new Mirror(), new HandTimers(), keepingLog()];
  const api = await server.open(log);
  let isOpen = false;
  const watched: Pick<KubeApi, "list" | "watch"> = {
    list: (...call) => api.list(...call),
    watch: (resource, query, onEvent, signal, onOpen) => {
      const opened = () => {
        isOpen = true;
        onOpen?.();
      };
      return api.watch(resource, query, onEvent, signal, opened).finally(() => {
        isOpen = false;
      });
    },
  };
  const reflector = new Reflector({
    ...{ api: watched, resource: PODS, listener: mirror, log, random: () => 0 },
    ...{ timers: { after: time.start }, clock: time.clock },
    ...others,
  });
  t.after(() => reflector.stop());
  const watching = (count: number) =>
    until(() => server.count(/watch=1/) === count && isOpen, { what: `watch ${count}` });
  // While it watches or asks, no timer but that of a hung watch is set.
  const paused = async () => {
    await until(() => time.size === 1 && time.nextMs <= 120_000, { what: "a pause" });
    return time.nextMs;
  };
  return { server, api, mirror, reflector, time, log, watching, paused };
}
