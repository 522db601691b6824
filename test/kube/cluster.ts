import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { until } from "../helpers/until.ts";
import type { Host } from "../netns/harness.ts";
import { type Place, Program, Script } from "../netns/helpers/program.ts";
import type { HttpAnswer } from "../netns/helpers/reports.ts";
import { ScratchFolder } from "../netns/helpers/scratch-folder.ts";
import { type Credentials, type Tokens, writeCredentials, writeKubeconfig } from "./credentials.ts";
import { KubeClient } from "./kube-client.ts";
import { programFolder } from "./programs.ts";

/** What real controllers do for the lab; the rest would wait for kubelets that speak to a cloud. */
const CONTROLLERS = [
  ...["deployment", "replicaset", "daemonset", "endpointslice", "namespace", "serviceaccount"],
  ...["garbage-collector", "root-ca-certificate-publisher"],
].map((name) => `${name}-controller`);
const START_TIMEOUT_MS = 90_000;

export interface ClusterOptions {
  /** The host in whose namespace everything runs; absent: the machine's own, on loopback. */
  readonly host?: Host;
  /** Names of nodes whose kubelets get tokens. */
  readonly nodes?: readonly string[];
  /** Start kube-controller-manager too. */
  readonly controllers?: boolean;
}

interface Ports {
  readonly etcd: number;
  readonly etcdPeers: number;
  readonly api: number;
}

/** A real etcd, kube-apiserver and, where asked for, kube-controller-manager, with RBAC and the Node authorizer. */
export class Cluster {
  readonly address: string;
  readonly #place: Place;
  readonly #ports: Ports;
  readonly #folder: ScratchFolder;
  readonly #credentials: Credentials;
  readonly #socketPath: string | undefined;
  readonly #clients: KubeClient[] = [];
  /** As `system:masters`. */
  readonly admin: KubeClient;
  #agent: Script | null = null;
  #etcd: Program | null = null;
  #api: Program | null = null;
  #controllers: Program | null = null;

  private constructor(
    { host }: ClusterOptions,
    ports: Ports,
    folder: ScratchFolder,
    credentials: Credentials,
  ) {
    this.#place = host?.namespace ?? new Here();
    this.address = host?.address4 ?? "127.0.0.1";
    this.#ports = ports;
    this.#folder = folder;
    this.#credentials = credentials;
    this.#socketPath = host === undefined ? undefined : join(folder.path, "api.sock");
    this.admin = this.client(credentials.tokens.admin);
  }

  /** Resolves when the API server is ready. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const folder = new ScratchFolder();
    const address = options.host?.address4 ?? "127.0.0.1";
    const credentials = await writeCredentials(folder.path, address, options.nodes ?? []);
    const [etcd, etcdPeers, api] = await freePorts();
    const cluster = new Cluster(options, { etcd, etcdPeers, api }, folder, credentials);
    try {
      await cluster.#start(options.controllers === true);
      return cluster;
    } catch (error) {
      await cluster.stop();
      throw error;
    }
  }

  async #start(controllers: boolean): Promise<void> {
    const { address, port } = { address: this.address, port: this.#ports.api };
    if (this.#socketPath !== undefined) {
      await Script.start(this.#place, "unix-relay", [this.#socketPath, address, port]);
    }
    this.#agent = await Script.start(this.#place, "agent");
    this.#etcd = this.#startEtcd();
    await this.startApi();
    if (controllers) this.#controllers = this.#startControllers();
  }

  get url(): string {
    return `https://${this.address}:${this.#ports.api}`;
  }

  get ca(): string {
    return this.#credentials.ca;
  }

  /** Writes what a program may need as a file, and returns its path. */
  file(name: string, content: string): string {
    const path = join(this.#folder.path, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  }

  get tokens(): Tokens {
    return this.#credentials.tokens;
  }

  /** Speaks to the API server with this token. */
  client(token: string): KubeClient {
    const { url, ca } = this;
    const way = this.#socketPath === undefined ? {} : { socketPath: this.#socketPath };
    const client = new KubeClient({ url, ca, token, ...way });
    this.#clients.push(client);
    return client;
  }

  /** A kubeconfig for whoever has the token, for programs that can reach the address. */
  kubeconfig(name: string, token: string): string {
    const { url, ca } = this;
    return writeKubeconfig(join(this.#folder.path, `${name}.kubeconfig`), { url, ca, token });
  }

  /** The API server's process. */
  get api(): Program {
    if (this.#api === null) throw new Error("there is no API server");
    return this.#api;
  }

  /** Starts the API server, or starts it again after `api.end`, and waits until it is ready. */
  async startApi(): Promise<void> {
    const { files } = this.#credentials;
    const accounts = "https://kubernetes.default.svc";
    this.#api = this.#program("kube-apiserver", [
      `--etcd-servers=http://127.0.0.1:${this.#ports.etcd}`,
      ...[`--bind-address=${this.address}`, `--secure-port=${this.#ports.api}`],
      ...[`--tls-cert-file=${files.certificate}`, `--tls-private-key-file=${files.key}`],
      ...[`--token-auth-file=${files.tokens}`, "--authorization-mode=Node,RBAC"],
      ...["--enable-admission-plugins=NodeRestriction", "--allow-privileged=true"],
      ...[`--service-account-issuer=${accounts}`, `--api-audiences=${accounts}`],
      `--service-account-signing-key-file=${files.accountKey}`,
      `--service-account-key-file=${files.accountPublicKey}`,
      ...["--service-cluster-ip-range=10.96.0.0/16,fd00:96::/112", "--profiling=false"],
      // It would register its own address as the endpoint of a service that no test uses.
      ...["--endpoint-reconciler-type=none", "--shutdown-delay-duration=0s"],
    ]);
    const ready = async () =>
      !this.api.running ||
      (await this.admin.call("GET", "/readyz").then(
        ({ status }) => status === 200,
        () => false,
      ));
    const what = "a ready API server";
    await until(ready, { timeoutMs: START_TIMEOUT_MS, what }).catch((cause: unknown) => {
      throw new Error(this.api.output, { cause });
    });
    assert.ok(this.api.running, this.api.output);
  }

  /** Makes etcd forget all older revisions: watches from before can no longer be resumed. */
  async compact(): Promise<void> {
    const head = await this.#askEtcd("range", { key: "AA==" });
    await this.#askEtcd("compaction", { revision: head.header.revision, physical: true });
  }

  async #askEtcd(call: string, body: object): Promise<{ header: { revision: string } }> {
    assert.ok(this.#agent !== null);
    const url = `http://127.0.0.1:${this.#ports.etcd}/v3/kv/${call}`;
    const question = { op: "http", method: "POST", url, body };
    const { status, text = "", error } = await this.#agent.ask<HttpAnswer>(question);
    assert.equal(status, 200, `etcd: ${text} ${error}`);
    return JSON.parse(text);
  }

  /** Ends everything and removes what was written. */
  async stop(): Promise<void> {
    for (const client of this.#clients.splice(0)) await client.close();
    for (const program of [this.#controllers, this.#api, this.#etcd, this.#agent]) {
      await program?.end("SIGKILL");
    }
    this.#folder.remove();
  }

  #startEtcd(): Program {
    const { etcd, etcdPeers } = this.#ports;
    const peer = `http://127.0.0.1:${etcdPeers}`;
    const client = `http://127.0.0.1:${etcd}`;
    // Memory, not a disk: a commit waits for its writes to be safe, which here nobody needs.
    const data = `/dev/shm/hostmesh-etcd-${process.pid}-${etcd}`;
    mkdirSync(data, { recursive: true, mode: 0o700 });
    const remove = () => rmSync(data, { recursive: true, force: true });
    process.once("exit", remove);
    const program = new Program(this.#place, "etcd", [
      ...["--name", "one", "--data-dir", data, "--logger", "zap"],
      ...["--listen-client-urls", client, "--advertise-client-urls", client],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `one=${peer}`, "--log-level", "error"],
    ]);
    program.child.once("exit", remove);
    return program;
  }

  #startControllers(): Program {
    const { accountKey, certificate } = this.#credentials.files;
    return this.#program("kube-controller-manager", [
      `--kubeconfig=${this.kubeconfig("controllers", this.tokens.admin)}`,
      ...["--leader-elect=false", "--secure-port=0", `--controllers=${CONTROLLERS.join(",")}`],
      `--service-account-private-key-file=${accountKey}`,
      `--root-ca-file=${certificate}`,
    ]);
  }

  #program(name: string, args: readonly string[]): Program {
    return new Program(this.#place, join(programFolder(), name), args);
  }
}

/** The machine's own namespace. What runs there ends with this process at the latest. */
class Here implements Place {
  spawn(command: string, args: readonly string[] = [], env: Record<string, string> = {}) {
    const child: ChildProcess = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    child.once("exit", () => process.off("exit", kill));
    return child;
  }
}

/** Three ports of loopback that nobody uses at this moment. */
async function freePorts(): Promise<[number, number, number]> {
  const servers = Array.from({ length: 3 }, () => createServer().listen(0, "127.0.0.1"));
  const ports = await Promise.all(
    servers.map(async (server) => {
      await new Promise((resolve) => server.once("listening", resolve));
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      await new Promise((resolve) => server.close(resolve));
      return address.port;
    }),
  );
  const [a = 0, b = 0, c = 0] = ports;
  return [a, b, c];
}
