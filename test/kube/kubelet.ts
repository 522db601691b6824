import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../helpers/until.ts";
import type { Container } from "../netns/harness.ts";
import { machineMs } from "../netns/helpers/answer-lines.ts";
import type { MeshHost } from "../netns/helpers/mesh.ts";
import { Informer } from "./informer.ts";
import type { KubeClient } from "./kube-client.ts";
import { type KubeObject, pathOf, pathOfObject } from "./objects.ts";

/** The host of an image's name: a first part with a dot. */
const REGISTRY = /^[^/]*\.[^/]*\//;

/** A pod that asks for an address gets it as soon as nobody on the node has it; others get the lowest that is free. */
export const ADDRESS_ANNOTATION = "test.hostmesh.io/address";

/** What an image of the lab gets to start its program. */
export interface PodPlace {
  readonly pod: KubeObject;
  readonly node: MeshHost;
  /** Absent for a pod on the host's network. */
  readonly container: Container | null;
  /** For what volumes would bring. */
  readonly folder: string;
  /** As the node, which may read what its pods refer to. */
  readonly client: KubeClient;
  /** Writes a token of the pod's account for this audience, bound to the pod, and returns its path. */
  token(audience: string): Promise<string>;
}

export interface PodProgram {
  /** As a container runtime stops a container: SIGTERM, and SIGKILL after `graceMs`. */
  stop(graceMs: number): Promise<void>;
}

/** Starts the program of a pod; resolves when it is ready to serve. */
export type Image = (place: PodPlace) => Promise<PodProgram>;

interface Held {
  readonly pod: KubeObject;
  readonly container: Container | null;
  readonly addresses: readonly string[];
  readonly program: PodProgram;
}

/** Plays the kubelet of one node: pods are network namespaces with real addresses, containers are processes in them. */
export class Kubelet {
  readonly #node: MeshHost;
  readonly #client: KubeClient;
  readonly #images: Readonly<Record<string, Image>>;
  readonly #folder: string;
  /** Second part of the addresses of its pods. */
  readonly #net: number;
  readonly #turns = new Map<string, Promise<void>>();
  readonly #held = new Map<string, Held>();
  readonly #taken = new Set<number>();
  /** Of addresses that had an owner before: ms from its end to the next one. */
  readonly gapsMs = new Map<string, number>();
  readonly #freedMs = new Map<number, number>();
  /** What went wrong, for the test that then fails. */
  readonly failures: string[] = [];
  #pods: Informer | null = null;
  #made = 0;

  constructor(
    node: MeshHost,
    net: number,
    {
      client,
      images,
      folder,
    }: { client: KubeClient; images: Record<string, Image>; folder: string },
  ) {
    this.#node = node;
    this.#net = net;
    this.#client = client;
    this.#images = images;
    this.#folder = join(folder, node.name);
  }

  /** Registers the node and follows its pods. */
  async start(labels: Readonly<Record<string, string>>): Promise<void> {
    const { name, host } = this.#node;
    const metadata = { name, labels: { "kubernetes.io/hostname": name, ...labels } };
    await this.#client.create({ apiVersion: "v1", kind: "Node", metadata });
    const addresses = [
      { type: "InternalIP", address: host.address4 },
      { type: "Hostname", address: name },
    ];
    const conditions = [condition("Ready", true)];
    const node = { apiVersion: "v1", kind: "Node", metadata };
    await this.#client.merge(node, { status: { addresses, conditions } }, "status");
    const kind = { apiVersion: "v1", kind: "Pod", query: `fieldSelector=spec.nodeName%3D${name}` };
    this.#pods = new Informer(this.#client, kind, (pod, gone) => this.#take(pod, gone));
  }

  async stop(): Promise<void> {
    await this.#pods?.stop();
    await Promise.allSettled(this.#turns.values());
  }

  /** One thing after the other for each pod. */
  #take(pod: KubeObject, gone: boolean): void {
    const uid = pod.metadata.uid ?? "";
    const before = this.#turns.get(uid) ?? Promise.resolve();
    const turn = before.then(() => this.#sync(uid, pod, gone));
    this.#turns.set(
      uid,
      turn.catch((error: unknown) => {
        this.failures.push(`${pod.metadata.name}: ${String(error)}`);
      }),
    );
  }

  async #sync(uid: string, pod: KubeObject, gone: boolean): Promise<void> {
    const held = this.#held.get(uid);
    if (gone) {
      // Deleted by force: the containers are ended all the same.
      if (held !== undefined) await this.#tearDown(uid, held, 0);
      return;
    }
    const { phase = "Pending" } = pod["status"] ?? {};
    if (pod.metadata.deletionTimestamp !== undefined) await this.#terminate(uid, pod, held);
    else if (held === undefined && phase === "Pending") await this.#run(uid, pod);
  }

  async #run(uid: string, pod: KubeObject): Promise<void> {
    const { containers, hostNetwork = false } = pod["spec"];
    const name: string = containers[0].image;
    const image = this.#images[name.replace(REGISTRY, "")];
    if (image === undefined) throw new Error(`no image ${name}`);
    const { container, addresses } = hostNetwork
      ? { container: null, addresses: [this.#node.host.address4] }
      : await this.#sandbox(pod);
    const folder = join(this.#folder, uid);
    mkdirSync(folder, { recursive: true });
    const token = (audience: string) => this.#token(pod, folder, audience);
    const place = { pod, node: this.#node, container, folder, client: this.#client, token };
    await this.#status(pod, "Pending", addresses, "waiting");
    const program = await image(place);
    this.#held.set(uid, { pod, container, addresses, program });
    await this.#status(pod, "Running", addresses, "running");
  }

  /** What CNI ADD does. */
  async #sandbox(pod: KubeObject) {
    const asked = pod.metadata.annotations?.[ADDRESS_ANNOTATION];
    const free = () => {
      if (asked !== undefined) return this.#taken.has(lastOf(asked)) ? undefined : lastOf(asked);
      return Array.from({ length: 200 }, (_, at) => at + 2).find((at) => !this.#taken.has(at));
    };
    await until(() => free() !== undefined, { what: `an address for ${pod.metadata.name}` });
    const last = free() ?? 0;
    this.#taken.add(last);
    this.#made += 1;
    const [address4, address6] = [`10.${this.#net}.0.${last}`, `fd00:${this.#net}::${last}`];
    const name = `p${this.#net}x${this.#made}`;
    const container = await this.#node.host.container(name, { address4, address6 });
    const freedMs = this.#freedMs.get(last);
    if (freedMs !== undefined) this.gapsMs.set(address4, machineMs() - freedMs);
    return { container, addresses: [address4, address6] };
  }

  async #terminate(uid: string, pod: KubeObject, held: Held | undefined): Promise<void> {
    const graceMs = (pod.metadata.deletionGracePeriodSeconds ?? 30) * 1_000;
    if (held !== undefined) {
      await this.#tearDown(uid, held, graceMs, () =>
        this.#status(pod, "Succeeded", held.addresses, "terminated"),
      );
    }
    await this.#client.remove(pod, { gracePeriodSeconds: 0, preconditions: { uid } });
  }

  async #tearDown(uid: string, held: Held, graceMs: number, tell?: () => Promise<void>) {
    await held.program.stop(graceMs);
    await tell?.();
    this.#held.delete(uid);
    if (held.container === null) return;
    await this.#node.host.release(held.container);
    const last = lastOf(held.addresses[0] ?? "");
    this.#freedMs.set(last, machineMs());
    this.#taken.delete(last);
  }

  async #status(
    pod: KubeObject,
    phase: "Pending" | "Running" | "Succeeded",
    addresses: readonly string[],
    state: "waiting" | "running" | "terminated",
  ): Promise<void> {
    const isReady = phase === "Running";
    const [podIP] = addresses;
    const hostIP = this.#node.host.address4;
    const containerStatuses = (pod["spec"].containers as { name: string; image: string }[]).map(
      ({ name, image }) => ({
        ...{ name, image, imageID: image, restartCount: 0, ready: isReady, started: isReady },
        containerID: `test://${pod.metadata.uid}`,
        state: { running: null, waiting: null, terminated: null, ...stateOf(state) },
      }),
    );
    const types = ["PodScheduled", "Initialized"].map((type) => condition(type, true));
    const ready = ["ContainersReady", "Ready"].map((type) => condition(type, isReady));
    const status = {
      ...{
        phase,
        hostIP,
        hostIPs: [{ ip: hostIP }],
        podIP,
        podIPs: addresses.map((ip) => ({ ip })),
      },
      ...{ startTime: pod.metadata.creationTimestamp, containerStatuses },
      conditions: [...types, ...ready],
    };
    const path = pathOfObject(pod, "status");
    const patch = { metadata: { uid: pod.metadata.uid }, status };
    const answer = await this.#client.call("PATCH", path, patch, "application/merge-patch+json");
    // It was deleted by force meanwhile, and perhaps made anew with another uid.
    if ([200, 404, 409, 422].includes(answer.status)) return;
    throw new Error(`status of ${pod.metadata.name}: ${JSON.stringify(answer.body)}`);
  }

  async #token(pod: KubeObject, folder: string, audience: string): Promise<string> {
    const { name, namespace = "default", uid } = pod.metadata;
    const account = { namespace, name: pod["spec"].serviceAccountName, sub: "token" };
    const boundObjectRef = { kind: "Pod", apiVersion: "v1", name, uid };
    const { status } = await this.#client.must("POST", pathOf("v1", "ServiceAccount", account), {
      ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" },
      spec: { audiences: [audience], expirationSeconds: 3_600, boundObjectRef },
    });
    const path = join(folder, `token-${audience}`);
    writeFileSync(path, status.token, { mode: 0o600 });
    return path;
  }
}

function stateOf(state: "waiting" | "running" | "terminated"): object {
  const now = new Date().toISOString();
  if (state === "waiting") return { waiting: { reason: "ContainerCreating" } };
  if (state === "running") return { running: { startedAt: now } };
  return { terminated: { exitCode: 0, reason: "Completed", startedAt: now, finishedAt: now } };
}

function condition(type: string, holds: boolean): object {
  const lastTransitionTime = new Date().toISOString().replace(/\.\d+/, "");
  return { type, status: holds ? "True" : "False", lastTransitionTime };
}

function lastOf(address4: string): number {
  return Number(address4.slice(address4.lastIndexOf(".") + 1));
}
