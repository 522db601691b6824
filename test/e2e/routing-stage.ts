import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestListener,
} from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { runCliHere } from "../cli/run.ts";
import { temporary, type Up, up } from "../daemon/up-process.ts";
import { until } from "../helpers/until.ts";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A server that is registered as one instance of a service; it answers with its name. */
export interface Instance {
  readonly name: string;
  readonly port: number;
  readonly seen: Seen[];
  /** Answers in place of its name; null: its name again. */
  answer: RequestListener | null;
}

export interface InstanceOptions {
  /** Labels. */
  readonly meta?: Readonly<Record<string, string>>;
  readonly namespace?: string;
  /** Other fields of the registration. */
  readonly more?: Readonly<Record<string, unknown>>;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Address that the client has: that of a registered workload makes it that workload. */
  readonly from?: string;
}

/** `hostmesh up` in a process of its own, with servers behind it and clients before it. */
export class RoutingStage {
  readonly explicit: number;
  readonly registry: string;
  /** Port of the daemon's metrics. */
  readonly metrics: number;
  /** Port of the registry's; null: they are not served. */
  readonly registryMetrics: number | null;
  readonly folder: string;
  /** Base URL of the dashboard. */
  readonly dashboard: string;
  /** The process. */
  readonly mesh: Up;
  readonly #t: TestContext;
  #files = 0;
  #marks = 0;
  #markPort = 0;

  private constructor(
    t: TestContext,
    folder: string,
    mesh: Up,
    dashboard: string,
    ready: {
      readonly explicit: number;
      readonly registry: string;
      readonly metrics: number;
      readonly registryMetrics: number | null;
    },
  ) {
    this.#t = t;
    this.folder = folder;
    this.dashboard = dashboard;
    this.mesh = mesh;
    this.explicit = ready.explicit;
    this.registry = ready.registry;
    this.metrics = ready.metrics;
    this.registryMetrics = ready.registryMetrics;
  }

  static async start(t: TestContext, more: ConfigInput = {}): Promise<RoutingStage> {
    const folder = await temporary();
    const mesh = up(t, folder, [], more);
    const ready = await mesh.ready();
    const [, dashboard = ""] = /^dashboard: (\S+)$/m.exec(mesh.lines.join("\n")) ?? [];
    const stage = new RoutingStage(t, folder, mesh, dashboard, ready);
    stage.#markPort = (await listen(t, (_, response) => response.end())).port;
    return stage;
  }

  /** Starts a server without registering it. */
  async server(name: string, address = "127.0.0.1"): Promise<Instance> {
    const seen: Seen[] = [];
    const instance: { -readonly [Key in keyof Instance]: Instance[Key] } = {
      ...{ name, port: 0, seen, answer: null },
    };
    const { port } = await listen(
      this.#t,
      (request, response) => {
        let body = "";
        request.on("data", (chunk: Buffer) => {
          body += chunk.toString();
        });
        request.on("end", () => {
          const { method = "", url = "", headers } = request;
          seen.push({ method, url, headers, body });
          if (instance.answer !== null) instance.answer(request, response);
          else response.writeHead(200, { "x-served-by": name }).end(name);
        });
      },
      address,
    );
    instance.port = port;
    return instance;
  }

  /** Starts a server and registers it by Consul's call, under an id that is its name. */
  async instance(service: string, name: string, options: InstanceOptions = {}): Promise<Instance> {
    const instance = await this.server(name);
    await this.register(service, instance, options);
    return instance;
  }

  /** By Consul's call. */
  async register(
    service: string,
    { name, port }: Pick<Instance, "name" | "port">,
    { meta = {}, namespace, more = {} }: InstanceOptions = {},
  ): Promise<void> {
    const place = namespace === undefined ? {} : { Namespace: namespace };
    const body = { ID: name, Name: service, Port: port, Meta: meta, ...place, ...more };
    await this.call("PUT", "/v1/agent/service/register", body);
  }

  /** Instances of one service, of which each has its name as its label `version`. */
  async versions(service: string, ...names: readonly string[]): Promise<Instance[]> {
    const started = names.map((version) =>
      this.instance(service, `${service}-${version}`, { meta: { version } }),
    );
    return Promise.all(started);
  }

  async call(method: string, path: string, body?: unknown): Promise<void> {
    const init = { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) };
    const response = await fetch(this.registry + path, init);
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${await response.text()}`);
  }

  hostmesh(...args: string[]) {
    return runCliHere([...args, "--registry", this.registry]);
  }

  async file(text: string): Promise<string> {
    this.#files += 1;
    const path = join(this.folder, `resources-${this.#files}.yaml`);
    await writeFile(path, text);
    return path;
  }

  /** `hostmesh apply -f`, which must take everything; returns when workers act on it. What it warned of. */
  async apply(text: string): Promise<string> {
    const { code, stdout, stderr } = await this.hostmesh("apply", "-f", await this.file(text));
    assert.equal(code, 0, stdout + stderr);
    await this.settled();
    return stderr;
  }

  async delete(text: string): Promise<void> {
    const { code, stderr } = await this.hostmesh("delete", "-f", await this.file(text));
    assert.equal(code, 0, stderr);
    await this.settled();
  }

  /** Waits until workers act on all that was changed so far: updates reach them in order. */
  async settled(): Promise<void> {
    this.#marks += 1;
    const mark = `mark-${this.#marks}`;
    const body = { ID: mark, Name: mark, Port: this.#markPort };
    await this.call("PUT", "/v1/agent/service/register", body);
    await until(async () => (await this.ask(mark)).status === 200, { what: "the update" });
    await this.call("PUT", `/v1/agent/service/deregister/${mark}`);
  }

  /** One request through the explicit proxy port, on a connection of its own: to `host/path`. */
  ask(target: string, options: AskOptions = {}): Promise<Answer> {
    const slash = target.indexOf("/");
    const host = slash === -1 ? target : target.slice(0, slash);
    return this.#send(host, slash === -1 ? "/" : target.slice(slash), options);
  }

  /** The same, as a client asks who knows that it speaks to a proxy. */
  absolute(url: string, options: AskOptions = {}): Promise<Answer> {
    return this.#send(new URL(url).host, url, options);
  }

  #send(host: string, path: string, options: AskOptions): Promise<Answer> {
    const { method = "GET", headers = {}, body = "", from } = options;
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const outgoing = httpRequest(
      {
        ...{ host: "127.0.0.1", port: this.explicit, agent: false, method, path },
        headers: { host, ...headers },
        ...(from === undefined ? {} : { localAddress: from }),
      },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString();
        });
        response.on("error", reject);
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers });
        });
      },
    );
    outgoing.setTimeout(10_000, () => outgoing.destroy(new Error("no answer in 10 s")));
    outgoing.on("error", reject);
    outgoing.end(body);
    return promise;
  }

  /** Who answers so many requests, and how often; what is no 200 counts by its status. */
  async tally(
    target: string,
    count: number,
    options: AskOptions = {},
  ): Promise<Record<string, number>> {
    const found: Record<string, number> = {};
    for (let at = 0; at < count; at++) {
      const { status, body } = await this.ask(target, options);
      const key = status === 200 ? body : String(status);
      found[key] = (found[key] ?? 0) + 1;
    }
    return found;
  }

  /** A workload of this host with an address of loopback, which clients can take. */
  async workload(
    name: string,
    address: string,
    { namespace = "default", labels = {} }: { namespace?: string; labels?: object } = {},
  ): Promise<void> {
    const workloads = [{ name, namespace, addresses: [address], labels, host: "node-a" }];
    await this.call("POST", "/v1/mesh/apply", { workloads });
    await this.settled();
  }
}

/** A server on a free port of loopback. */
async function listen(
  t: TestContext,
  listener: RequestListener,
  address = "127.0.0.1",
): Promise<{ port: number }> {
  const server = createServer(listener);
  server.listen(0, address);
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port };
}
