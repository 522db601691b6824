import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DEFAULT_NAMESPACE } from "../../../src/core/model.ts";
import type { StatReport } from "../../../src/telemetry/stat-report.ts";
import { until } from "../../helpers/until.ts";
import {
  type Container,
  type ContainerOptions,
  type Host,
  type HostOptions,
  Lab,
} from "../harness.ts";
import { Program, Script } from "./program.ts";
import type { HttpAnswer, TcpAnswer } from "./reports.ts";
import { ScratchFolder } from "./scratch-folder.ts";
import type { ShapedLink } from "./shaped-link.ts";

const MAIN = fileURLToPath(new URL("../../../src/cli/main.ts", import.meta.url));

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Of a guardian whose data path is another user's; `test/manifests` compares them with the DaemonSet's. */
export const GUARDIAN_CAPABILITIES = ["net_admin", "net_raw", "setuid", "setgid", "kill"];

/** Warming up is tested for itself: here it would only keep every daemon, and the machine, busy for a second. */
const DAEMON_SETTINGS = ["ports.bind=0.0.0.0", "timeouts.warmUpMs=0"];

export interface DaemonOptions {
  readonly capture: "tproxy" | "redirect";
  readonly onDeath?: "open" | "closed";
  /** With an identity: it enrols by a join token, unless it has done so before, and knows the registry by TLS. */
  readonly enrol?: boolean;
  /** `path=value` of settings. */
  readonly set?: readonly string[];
  /**
   * `UID:GID` of the data path. The guardian then has only the capabilities that the manifests give it, and finds its
   * folder prepared.
   */
  readonly user?: string;
}

/** A batch of `POST /v1/mesh/apply`. */
export interface Batch {
  readonly services?: readonly object[];
  readonly endpoints?: readonly object[];
  readonly workloads?: readonly object[];
}

/** Hosts with containers, one registry, and a daemon on each host: all real processes, started by the CLI. */
export class Mesh {
  readonly lab: Lab;
  readonly hosts: MeshHost[] = [];
  /** What joins the hosts, in the order in which they came; empty where nothing is to be spoiled. */
  readonly links: ShapedLink[] = [];
  readonly #shaped: boolean;
  readonly #folder = new ScratchFolder();
  #registry: { readonly host: MeshHost; program: Program; readonly tlsUrl: string } | null = null;

  private constructor(lab: Lab, shaped: boolean) {
    this.lab = lab;
    this.#shaped = shaped;
  }

  /** `shaped`: the links between its hosts can be spoiled. */
  static async create({ shaped = false }: { shaped?: boolean } = {}): Promise<Mesh> {
    return new Mesh(await Lab.create(), shaped);
  }

  async host(name: string, options: HostOptions): Promise<MeshHost> {
    const host = await this.lab.host(name, options);
    for (const other of this.hosts) await this.#link(other.host, host);
    const folder = join(this.#folder.path, name);
    const agent = await Script.start(host.namespace, "agent");
    const made = new MeshHost(this, name, host, agent, folder);
    this.hosts.push(made);
    return made;
  }

  async #link(a: Host, b: Host): Promise<void> {
    if (this.#shaped) this.links.push(await this.lab.shapedLink(a, b));
    else await this.lab.link(a, b);
  }

  /** Of the registry, as its own host and the others reach it. */
  registryUrl(from: MeshHost): string {
    const { host } = this.#registry ?? { host: from };
    return `http://${host === from ? "127.0.0.1" : host.host.address4}:15010`;
  }

  /** Of the registry's API on TLS. */
  get registryTlsUrl(): string {
    if (this.#registry === null) throw new Error("there is no registry yet");
    return this.#registry.tlsUrl;
  }

  /** The registry's data, its authority among it. */
  get registryFolder(): string {
    return join(this.#folder.path, "registry");
  }

  get registry(): Program {
    if (this.#registry === null) throw new Error("there is no registry yet");
    return this.#registry.program;
  }

  /** Starts it, or starts it again, and waits until it answers. `set` are settings, as `path=value`. */
  async startRegistry(host: MeshHost, set: readonly string[] = []): Promise<void> {
    const program = host.cli([
      ...["registry", "--host", host.name, "--data", this.registryFolder],
      ...["registry.bind=0.0.0.0", ...set].flatMap((setting) => ["--set", setting]),
    ]);
    this.#registry = { host, program, tlsUrl: `https://${host.host.address4}:15012` };
    const answers = async () =>
      !program.running ||
      (await host.http(`${this.registryUrl(host)}/v1/mesh/status`)).status === 200;
    await until(answers, { timeoutMs: 30_000, what: "an answer of the registry" });
    assert(program.running, program.output);
  }

  /** One call of the registry's API from its own host; fails where it is refused. */
  async call(method: string, path: string, body?: object): Promise<HttpAnswer> {
    const host = this.#registry?.host;
    if (host === undefined) throw new Error("there is no registry yet");
    const url = this.registryUrl(host) + path;
    const answer = await host.http(url, { method, ...(body === undefined ? {} : { body }) });
    assert.equal(answer.status, 200, `${method} ${path}: ${answer.text ?? answer.error}`);
    return answer;
  }

  apply(batch: Batch): Promise<HttpAnswer> {
    return this.call("POST", "/v1/mesh/apply", batch);
  }

  /** Applies resources of Istio, SMI or Consul: all of them, or it fails. Resolves when daemons go by them. */
  async policies(...resources: readonly object[]): Promise<void> {
    await this.call("POST", "/v1/mesh/resources?atomic=true", resources);
    await this.settled();
  }

  /** Takes all resources back, and resolves when daemons have forgotten them. */
  async noPolicies(): Promise<void> {
    const { text = "" } = await this.call("GET", "/v1/mesh/resources");
    const all: { key: string }[] = JSON.parse(text);
    for (const { key } of all) await this.call("DELETE", `/v1/mesh/resources/${key}`);
    await this.settled();
  }

  /** Waits until all daemons go by the newest revision of the registry. */
  async settled(): Promise<void> {
    const { text = "" } = await this.call("GET", "/v1/mesh/status");
    const { revision }: { revision: number } = JSON.parse(text);
    const running = this.hosts.filter((host) => host.hasDaemon);
    const newest = async () => {
      const held = running.map((host) => host.metric("hostmesh_config_revision"));
      return (await Promise.all(held)).every((one) => one >= revision);
    };
    await until(newest, { what: `revision ${revision} at all daemons` });
  }

  /** A one-time token with which this host may enrol. */
  async joinToken(host: string): Promise<string> {
    const { text = "" } = await this.call("POST", "/v1/identity/tokens", { host });
    const { token }: { token: string } = JSON.parse(text);
    return token;
  }

  /** The virtual addresses of a service. */
  async addressesOf(service: string): Promise<{ v4: string; v6: string }> {
    const { text = "" } = await this.call("GET", "/v1/mesh/services");
    const all: { name: string; addresses: string[] }[] = JSON.parse(text);
    const { addresses } = all.find(({ name }) => name === service) ?? { addresses: [] };
    const v6 = addresses.find((address) => address.includes(":"));
    const v4 = addresses.find((address) => !address.includes(":"));
    if (v4 === undefined || v6 === undefined)
      throw new Error(`no addresses: ${service} in ${text}`);
    return { v4, v6 };
  }

  async destroy(): Promise<void> {
    await this.lab.destroy();
    this.#folder.remove();
  }
}

/** A host of the mesh. */
export class MeshHost {
  readonly name: string;
  readonly host: Host;
  readonly #mesh: Mesh;
  /** Where its daemon keeps its data. */
  readonly folder: string;
  readonly #agent: Script;
  #daemon: Program | null = null;

  constructor(mesh: Mesh, name: string, host: Host, agent: Script, folder: string) {
    this.#mesh = mesh;
    this.name = name;
    this.host = host;
    this.folder = folder;
    this.#agent = agent;
  }

  /** A container, and a plain client in it. */
  async container(name: string, options: ContainerOptions): Promise<MeshContainer> {
    const container = await this.host.container(name, options);
    return new MeshContainer(
      this,
      name,
      container,
      await Script.start(container.namespace, "agent"),
    );
  }

  /** `hostmesh ARGS` on this host. */
  cli(args: readonly string[]): Program {
    return new Program(this.host.namespace, process.execPath, [MAIN, ...args]);
  }

  /** `hostmesh up`: a registry and a daemon of its own. */
  up(args: readonly string[]): Program {
    return this.cli(["up", "--host", this.name, "--data", this.folder, ...args]);
  }

  /**
   * As `cli`, with no more capabilities than these, and from mounts that any user can read, wherever the sources are:
   * `ip netns exec` has a mount namespace of its own.
   */
  #confinedCli(args: readonly string[], capabilities: readonly string[]): Program {
    const [program, node] = [`${this.folder}-program`, `${this.folder}-node`];
    mkdirSync(program, { recursive: true });
    writeFileSync(node, "");
    const bounds = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
    const script = `
      mount --bind "$1" "$2"; mount --bind "$3" "$4"; program=$2 node=$4; shift 4
      exec setpriv --bounding-set=${bounds} --inh-caps=-all --no-new-privs "$node" "$program/src/cli/main.ts" "$@"`;
    const mounts = [ROOT, program, process.execPath, node];
    return new Program(this.host.namespace, "sh", ["-euc", script, "sh", ...mounts, ...args]);
  }

  get hasDaemon(): boolean {
    return this.#daemon?.running === true;
  }

  get daemon(): Program {
    if (this.#daemon === null) throw new Error("there is no daemon yet");
    return this.#daemon;
  }

  /** Starts the daemon, or starts it again, and waits until it captures. */
  async startDaemon(options: DaemonOptions): Promise<Program> {
    const { capture, onDeath = "open", enrol = false, set = [], user } = options;
    const registry = enrol ? this.#mesh.registryTlsUrl : this.#mesh.registryUrl(this);
    const identity = enrol ? [`identity.joinTokenFile=${await this.#tokenFile()}`] : [];
    const args = [
      ...["daemon", "--host", this.name, "--registry", registry],
      ...["--data", this.folder, "--capture", capture, "--on-death", onDeath],
      ...[...DAEMON_SETTINGS, ...identity, ...set].flatMap((setting) => ["--set", setting]),
    ];
    const daemon =
      user === undefined
        ? this.cli(args)
        : this.#confinedCli([...args, "--user", user], GUARDIAN_CAPABILITIES);
    this.#daemon = daemon;
    await daemon.said(/capturing connections of local workloads/, 40_000);
    return daemon;
  }

  /** Waits until the host and every workload on it have certificates that are in force. */
  async untilCertified(): Promise<void> {
    const count = (state: string) => this.metric("hostmesh_certificates", { state });
    const certified = async () => (await count("valid")) > 1 && (await count("missing")) === 0;
    await until(certified, { timeoutMs: 15_000, what: `certificates of ${this.name}` });
  }

  /** The join token of this host, made when it is first asked for. */
  async #tokenFile(): Promise<string> {
    const path = join(this.folder, "join-token");
    if (existsSync(path)) return path;
    mkdirSync(this.folder, { recursive: true });
    writeFileSync(path, await this.#mesh.joinToken(this.name), { mode: 0o600 });
    return path;
  }

  /** Waits until the connections of these containers are captured. */
  async untilCaptured(...containers: readonly MeshContainer[]): Promise<void> {
    const held = async () => {
      const sets = await this.host.namespace.exec("ipset", ["save"]);
      const isIn = (address: string | null) =>
        address === null ||
        sets.includes(`add hostmesh${address.includes(":") ? 6 : 4} ${address}\n`);
      return containers.every(
        ({ container: { address4, address6 } }) => isIn(address4) && isIn(address6),
      );
    };
    await until(held, {
      timeoutMs: 10_000,
      what: `capture of ${containers.map(({ name }) => name)}`,
    });
  }

  http(url: string, options: object = {}): Promise<HttpAnswer> {
    return this.#agent.ask<HttpAnswer>({ op: "http", url, ...options });
  }

  tcp(host: string, port: number, more: object = {}): Promise<TcpAnswer> {
    return this.#agent.ask<TcpAnswer>({ op: "tcp", host, port, ...more });
  }

  async stats(): Promise<StatReport> {
    const { text = "", error } = await this.http("http://127.0.0.1:15000/stats");
    if (error !== undefined) throw new Error(`no statistics of ${this.name}: ${error}`);
    return JSON.parse(text);
  }

  /** The value of a metric, summed over all label sets that contain the given labels. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { text = "" } = await this.http("http://127.0.0.1:15020/metrics");
    const wanted = Object.entries(labels).map(([key, value]) => `${key}="${value}"`);
    return text
      .split("\n")
      .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
      .filter((line) => wanted.every((label) => line.includes(label)))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0);
  }

  /** Waits until the metric has this value: a worker tells of a label that is new to it a moment later. */
  async untilMetric(
    name: string,
    labels: Readonly<Record<string, string>>,
    value: number,
  ): Promise<void> {
    let seen = Number.NaN;
    const reached = async () => {
      seen = await this.metric(name, labels);
      return seen === value;
    };
    const what = `${name}${JSON.stringify(labels)} ${value}`;
    await until(reached, { what }).catch((cause: unknown) => {
      throw new Error(`${what} is ${seen}`, { cause });
    });
  }

  endpoint(id: string, service: string, container: MeshContainer, port = 8_080): object {
    return { id, service, host: this.name, address: container.container.address4, port };
  }
}

/** A container of the mesh. */
export class MeshContainer {
  readonly on: MeshHost;
  readonly name: string;
  readonly container: Container;
  readonly #agent: Script;

  constructor(on: MeshHost, name: string, container: Container, agent: Script) {
    this.on = on;
    this.name = name;
    this.container = container;
    this.#agent = agent;
  }

  /** Its registration. */
  get workload(): object {
    const { address4, address6 } = this.container;
    const addresses = address6 === null ? [address4] : [address4, address6];
    const { name, on } = this;
    return { name, namespace: DEFAULT_NAMESPACE, host: on.name, addresses };
  }

  /** Its registration with a service account of its own, and as many labels as a policy needs to select it. */
  get account(): object {
    return { ...this.workload, serviceAccount: this.name, labels: { app: this.name } };
  }

  /** Starts the application `app.ts`. */
  app(delayMs = 0): Promise<Script> {
    return Script.start(this.container.namespace, "app", [this.name, delayMs]);
  }

  /** Starts `load.ts`. */
  load(
    url: string,
    loops = 8,
    pauseMs = 4,
    connections: "kept" | "fresh" = "kept",
  ): Promise<Script> {
    return Script.start(this.container.namespace, "load", [url, loops, pauseMs, connections]);
  }

  http(url: string, options: object = {}): Promise<HttpAnswer> {
    return this.#agent.ask<HttpAnswer>({ op: "http", url, ...options });
  }

  tcp(host: string, port: number, more: object = {}): Promise<TcpAnswer> {
    return this.#agent.ask<TcpAnswer>({ op: "tcp", host, port, ...more });
  }

  hold(key: string, host: string, port: number): Promise<{ readonly error?: string }> {
    return this.#agent.ask({ op: "hold", key, host, port });
  }

  echo(key: string, text: string): Promise<{ readonly text?: string; readonly error?: string }> {
    return this.#agent.ask({ op: "echo", key, text });
  }

  /** `curl -s ARGS` inside; resolves with what it printed, or fails with what it said. */
  curl(...args: readonly string[]): Promise<string> {
    return this.container.namespace.exec("curl", ["-sS", "-m", "8", ...args]);
  }
}
