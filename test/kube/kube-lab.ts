import assert from "node:assert/strict";
import { join } from "node:path";
import { until } from "../helpers/until.ts";
import { Mesh, type MeshHost } from "../netns/helpers/mesh.ts";
import { type Program, Script } from "../netns/helpers/program.ts";
import type { HttpAnswer } from "../netns/helpers/reports.ts";
import { ScratchFolder } from "../netns/helpers/scratch-folder.ts";
import { Cluster } from "./cluster.ts";
import { installDefinitions } from "./crds.ts";
import { type Images, makeImages } from "./images.ts";
import { accountObject, MESH_NAMESPACE, meshObjects, type PodWish, podObject } from "./install.ts";
import { Kubelet, type PodPlace } from "./kubelet.ts";
import { type KubeObject, pathOf, pathOfObject } from "./objects.ts";
import { Scheduler } from "./scheduler.ts";

const NODES = ["n1", "n2"];
const ZONE = "topology.kubernetes.io/zone";

export interface KubeLabOptions {
  /** Replicas of the registry. Default 1. */
  readonly replicas?: number;
  /** Settings of the registry, and of the daemons, as `path=value`. */
  readonly registry?: readonly string[];
  readonly daemon?: readonly string[];
}

/** One replica of the registry. */
export interface Replica {
  readonly args: readonly string[];
  readonly url: string;
  readonly tlsUrl: string;
  program: Program;
}

/** A cluster of two nodes with the mesh in it: real API server, controllers, registries and daemons; pods are namespaces. */
export class KubeLab {
  readonly mesh: Mesh;
  /** Of the API server. */
  readonly control: MeshHost;
  /** Of the registry's replicas. */
  readonly home: MeshHost;
  readonly nodes: readonly MeshHost[];
  readonly cluster: Cluster;
  readonly replicas: Replica[] = [];
  readonly kubelets: Kubelet[] = [];
  readonly #folder = new ScratchFolder();
  readonly #images: Images;
  readonly #options: KubeLabOptions;
  #scheduler: Scheduler | null = null;

  private constructor(
    mesh: Mesh,
    hosts: readonly MeshHost[],
    cluster: Cluster,
    options: KubeLabOptions,
  ) {
    const [control, home, ...nodes] = hosts;
    assert.ok(control !== undefined && home !== undefined);
    this.mesh = mesh;
    this.control = control;
    this.home = home;
    this.nodes = nodes;
    this.cluster = cluster;
    this.#options = options;
    const registries = () => this.replicas.map(({ tlsUrl }) => tlsUrl);
    this.#images = makeImages({ registries, set: options.daemon ?? [] });
  }

  /** Resolves when the daemons of both nodes capture. */
  static async create(options: KubeLabOptions = {}): Promise<KubeLab> {
    const mesh = await Mesh.create();
    let lab: KubeLab | undefined;
    try {
      const hosts: MeshHost[] = [];
      for (const name of ["cp", "reg", ...NODES])
        hosts.push(await mesh.host(name, { veth: "unnumbered" }));
      const host = hosts[0]?.host;
      assert.ok(host !== undefined);
      const cluster = await Cluster.start({ host, nodes: NODES, controllers: true });
      lab = new KubeLab(mesh, hosts, cluster, options);
      await lab.#start();
      return lab;
    } catch (error) {
      if (lab === undefined) await mesh.destroy();
      else await lab.destroy();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const { admin } = this.cluster;
    await installDefinitions(admin, "istio", "gateway");
    await admin.apply(...meshObjects());
    this.#scheduler = new Scheduler(this.cluster.client(this.cluster.tokens.scheduler));
    const kubeconfig = await this.#registryKubeconfig();
    const count = this.#options.replicas ?? 1;
    for (let at = 0; at < count; at += 1) this.#addReplica(at, kubeconfig);
    await Promise.all(this.replicas.map((replica) => this.untilServing(replica)));
    await Promise.all(
      this.nodes.map((node, at) => {
        const client = this.cluster.client(this.cluster.tokens.ofNode(node.name));
        const { images } = this.#images;
        const kubelet = new Kubelet(node, at + 1, { client, images, folder: this.#folder.path });
        this.kubelets.push(kubelet);
        return kubelet.start({ [ZONE]: `zone-${node.name}` });
      }),
    );
    const running = () => {
      this.checkKubelets();
      return this.nodes.every(({ name }) => this.#images.daemons.has(name));
    };
    await until(running, { timeoutMs: 90_000, what: "a daemon on every node" });
  }

  async #registryKubeconfig(): Promise<string> {
    const account = { namespace: MESH_NAMESPACE, name: "hostmesh-registry", sub: "token" };
    const path = pathOf("v1", "ServiceAccount", account);
    const { status } = await this.cluster.admin.must("POST", path, {
      ...{ apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest" },
      spec: { expirationSeconds: 3_600 },
    });
    return this.cluster.kubeconfig("registry", status.token);
  }

  #addReplica(at: number, kubeconfig: string): void {
    const [port, tlsPort] = [15_010 + 100 * at, 15_012 + 100 * at];
    const { registry = [] } = this.#options;
    const settings = [`registry.port=${port}`, `registry.tlsPort=${tlsPort}`, ...registry];
    const args = [
      ...["registry", "--source", "kubernetes", "--kubeconfig", kubeconfig],
      ...["--host", this.home.name, "--data", join(this.#folder.path, `registry-${at}`)],
      ...["registry.bind=0.0.0.0", ...settings].flatMap((setting) => ["--set", setting]),
    ];
    const url = `http://127.0.0.1:${port}`;
    const tlsUrl = `https://${this.home.host.address4}:${tlsPort}`;
    this.replicas.push({ args, url, tlsUrl, program: this.home.cli(args) });
  }

  /** Starts a replica that has ended once more. */
  async restart(replica: Replica): Promise<void> {
    replica.program = this.home.cli(replica.args);
    await this.untilServing(replica);
  }

  async untilServing({ url, program }: Replica): Promise<void> {
    const answers = async () =>
      !program.running || (await this.home.http(`${url}/v1/mesh/status`)).status === 200;
    await until(answers, { timeoutMs: 60_000, what: "an answer of the registry" });
    assert.ok(program.running, program.output);
  }

  /** Takes the way to the API server from all replicas, with their connections, or gives it back. */
  async cutOff(isCut: boolean): Promise<void> {
    const rule = `OUTPUT -d ${this.control.host.address4} -p tcp -j REJECT --reject-with tcp-reset`;
    await this.home.host.namespace.script(`iptables -w ${isCut ? "-I" : "-D"} ${rule}`);
  }

  /** One call of a replica's plain API; fails where it is refused. */
  async ask<T>(path: string, replica = this.replicas[0]): Promise<T> {
    const { status, text = "", error } = await this.home.http(`${replica?.url}${path}`);
    assert.equal(status, 200, `GET ${path}: ${text} ${error}`);
    return JSON.parse(text);
  }

  /** Fails with what a kubelet could not do. */
  checkKubelets(): void {
    assert.deepEqual(
      this.kubelets.flatMap(({ failures }) => failures),
      [],
    );
  }

  /** The pod of the daemon on a node, which also says where its data are. */
  daemonOf(node: MeshHost): PodPlace {
    const daemon = this.#images.daemons.get(node.name);
    assert.ok(daemon !== undefined, `a daemon on ${node.name}`);
    return daemon.place;
  }

  /** Creates a namespace whose pods are in the mesh, and the accounts of the pods to come. */
  async namespace(name: string, ...accounts: readonly string[]): Promise<void> {
    const labels = { "hostmesh.io/inject": "enabled" };
    await this.cluster.admin.apply(
      { apiVersion: "v1", kind: "Namespace", metadata: { name, labels } },
      ...["default", ...accounts].map((account) => accountObject(account, name)),
    );
  }

  /** Creates a pod and waits until it is ready. */
  async pod(wish: PodWish): Promise<KubeObject> {
    const pod = await this.cluster.admin.create(podObject(wish));
    return this.ready(pod);
  }

  async ready(pod: KubeObject): Promise<KubeObject> {
    let now: KubeObject | null = null;
    const isReady = async () => {
      this.checkKubelets();
      now = await this.cluster.admin.get(pathOfObject(pod));
      return now?.["status"].phase === "Running";
    };
    await until(isReady, { timeoutMs: 30_000, what: `${pod.metadata.name} running` });
    assert.ok(now !== null);
    return now;
  }

  /** The program in a pod of this name that runs at this moment. */
  script(key: string): Script {
    const found = this.#images.scripts.get(key);
    assert.ok(found !== undefined, `${key} is not running`);
    return found.script;
  }

  /** One more program in the namespace of a pod. */
  start(key: string, program: string, args: readonly (string | number)[]): Promise<Script> {
    const container = this.#images.scripts.get(key)?.place.container;
    assert.ok(container, `${key} is not running`);
    return Script.start(container.namespace, program, args);
  }

  /** One HTTP request of a client pod. */
  http(client: string, url: string, options: object = {}): Promise<HttpAnswer> {
    return this.script(client).ask<HttpAnswer>({ op: "http", url, ...options });
  }

  /** Waits until these pods' connections are captured on their nodes. */
  async untilCaptured(...pods: readonly KubeObject[]): Promise<void> {
    for (const pod of pods) {
      const node = this.nodes.find(({ name }) => name === pod["spec"].nodeName);
      const address: string = pod["status"].podIP;
      const held = async () => {
        const sets = await node?.host.namespace.exec("ipset", ["save"]);
        return sets?.includes(`add hostmesh4 ${address}\n`) ?? false;
      };
      await until(held, { what: `capture of ${pod.metadata.name}` });
    }
  }

  async destroy(): Promise<void> {
    await this.#scheduler?.stop();
    const stopping = this.kubelets.map((kubelet) => kubelet.stop());
    await this.mesh.destroy();
    await Promise.all(stopping);
    await this.cluster.stop();
    this.#folder.remove();
  }
}
