import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer, type ServerOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { KubeApi } from "../../src/kubernetes/api/kube-api.ts";
import {
  type ApiResource,
  apiVersionOf,
  isRecord,
  type KubeObject,
} from "../../src/kubernetes/api/objects.ts";
import type { Log } from "../../src/registry/log.ts";
import {
  KubeStore,
  type Loose,
  mergePatch,
  ofKind,
  Refusal,
  type StoreEvent,
  selects,
} from "./kube-store.ts";

/** What goes wrong with a request, instead of an answer. */
export type Fault =
  | { readonly kind: "hang" }
  | { readonly kind: "reset" }
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly body?: unknown;
      readonly headers?: Record<string, string>;
    }
  /** A whole answer of these bytes. */
  | { readonly kind: "bytes"; readonly text: string };

interface Planned {
  /** Matched with `METHOD /path?query`. */
  readonly when: RegExp;
  readonly fault: Fault;
  /** How often it still happens. */
  times: number;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly userAgent: string | undefined;
}

interface Watcher {
  readonly of: string;
  readonly resource: ApiResource;
  readonly response: ServerResponse;
  readonly tell: (event: StoreEvent) => void;
}

interface Target {
  readonly resource: ApiResource;
  readonly namespace: string;
  readonly name: string | undefined;
  readonly sub: string | undefined;
  readonly query: URLSearchParams;
}

export interface KubeApiServerOptions {
  /** Serves HTTPS; `ca` of it is only for the kubeconfig. */
  readonly tls?: ServerOptions & { readonly serverCa: string };
  /** What `user:` of the kubeconfig holds. */
  readonly user?: Record<string, unknown>;
  /** Path before all others, as of a cluster behind a gateway. */
  readonly prefix?: string;
}

/**
 * An API server of Kubernetes for tests: real HTTP over objects in memory, with their versions, pages of lists, watches with
 * bookmarks, custom resources, the writes that controllers use, and everything that can go wrong with it.
 */
export class KubeApiServer {
  readonly store = new KubeStore();
  /** All requests so far. */
  readonly calls: Call[] = [];
  /** Bearer tokens that are taken; null: nobody is asked. */
  tokens: Set<string> | null = null;
  /** Tells a watcher of a version that is gone by an event instead of by the status. */
  goneAsEvent = false;
  /** Path of a kubeconfig for this server. */
  kubeconfig = "";
  readonly #t: TestContext;
  readonly #options: KubeApiServerOptions;
  readonly #server: Server;
  readonly #watchers = new Set<Watcher>();
  readonly #faults: Planned[] = [];

  private constructor(t: TestContext, options: KubeApiServerOptions) {
    this.#t = t;
    this.#options = options;
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      void this.#answer(request, response);
    this.#server = options.tls ? createTlsServer(options.tls, answer) : createServer(answer);
    this.store.onEvent = (event) => {
      for (const watcher of this.#watchers) if (watcher.of === event.of) watcher.tell(event);
    };
    // The kinds that are not served any more are not watched either.
    this.store.onServed = () => {
      const served = new Set(this.store.served().map((one) => `${ofKind(one)} ${one.version}`));
      for (const { of, resource, response } of this.#watchers) {
        if (!served.has(`${of} ${resource.version}`)) response.end();
      }
    };
  }

  static async start(t: TestContext, options: KubeApiServerOptions = {}): Promise<KubeApiServer> {
    const server = new KubeApiServer(t, options);
    await server.listen(0);
    t.after(() => server.stop());
    const folder = await mkdtemp(join(tmpdir(), "hostmesh-kube-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    server.kubeconfig = join(folder, "kubeconfig");
    await writeFile(server.kubeconfig, JSON.stringify(server.#config()));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes connections again, after `stop`. */
  async listen(port: number): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Breaks every connection and takes no more; what is stored stays. */
  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  /** A client of it, closed after the test. */
  async open(log: Log = silent): Promise<KubeApi> {
    const api = await KubeApi.open({ kubeconfig: this.kubeconfig, context: "", log });
    this.#t.after(() => api.close());
    return api;
  }

  /** Creates or replaces an object, as someone with kubectl; its status is kept as it is given. */
  apply(object: Loose): KubeObject {
    const resource = this.store.resourceOf(object);
    const metadata = resource.namespaced
      ? { namespace: "default", ...object.metadata }
      : object.metadata;
    return this.store.write(resource, { ...object, metadata });
  }

  /** Deletes an object, if it is there. */
  remove(object: Loose): void {
    const resource = this.store.resourceOf(object);
    const namespace = resource.namespaced ? (object.metadata.namespace ?? "default") : "";
    this.store.remove(resource, namespace, object.metadata.name);
  }

  /** As it is now. */
  get(apiVersion: string, kind: string, namespace: string, name: string): Loose {
    return this.store.get(ofKind(this.store.resourceOf({ apiVersion, kind })), namespace, name);
  }

  /** Answers to requests that match `METHOD /path?query` with a fault, so many times. */
  fail(when: RegExp, fault: Fault, times = 1): void {
    this.#faults.push({ when, fault, times });
  }

  /** Requests that match, so far. */
  count(when: RegExp): number {
    return this.calls.filter((call) => when.test(lineOf(call))).length;
  }

  /** Watches that are open, of one plural or of all. */
  watches(plural?: string): number {
    return this.#open(plural).length;
  }

  /** Tells every watch of the newest version. */
  bookmark(): void {
    const resourceVersion = String(this.store.version);
    for (const { resource, response } of this.#watchers) {
      const { kind } = resource;
      const object = { kind, apiVersion: apiVersionOf(resource), metadata: { resourceVersion } };
      response.write(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
    }
  }

  /** Ends open watches properly, as at their time. */
  endWatches(plural?: string): void {
    for (const { response } of this.#open(plural)) response.end();
  }

  /** Breaks the connections of open watches. */
  resetWatches(plural?: string): void {
    for (const { response } of this.#open(plural)) response.socket?.resetAndDestroy();
  }

  /** Sends bytes on open watches. */
  tellWatches(text: string | Buffer, plural?: string): void {
    for (const { response } of this.#open(plural)) response.write(text);
  }

  #open(plural?: string): Watcher[] {
    return [...this.#watchers].filter(
      ({ resource }) => plural === undefined || resource.plural === plural,
    );
  }

  #config() {
    const { tls, user = {}, prefix = "" } = this.#options;
    const server = `${tls ? "https" : "http"}://127.0.0.1:${this.port}${prefix}`;
    const authority = tls && {
      "certificate-authority-data": Buffer.from(tls.serverCa).toString("base64"),
    };
    return {
      ...{ apiVersion: "v1", kind: "Config", "current-context": "test" },
      clusters: [{ name: "test", cluster: { server, ...authority } }],
      users: [{ name: "test", user }],
      contexts: [{ name: "test", context: { cluster: "test", user: "test" } }],
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", headers } = request;
    const { pathname, searchParams: query } = new URL(request.url ?? "/", "http://localhost");
    const { prefix = "" } = this.#options;
    const path = pathname.startsWith(prefix)
      ? pathname.slice(prefix.length)
      : `/outside${pathname}`;
    const { authorization, "user-agent": userAgent } = headers;
    const call: Call = { method, path, query, authorization, userAgent };
    this.calls.push(call);
    try {
      const body = await readBody(request);
      if (this.#fails(call, request, response)) return;
      const token = /^Bearer (.+)$/.exec(authorization ?? "")?.[1] ?? "";
      if (this.tokens !== null && !this.tokens.has(token)) {
        throw new Refusal(401, "Unauthorized", "Unauthorized");
      }
      this.#serve(call, body, String(headers["content-type"]), response);
    } catch (error) {
      const refusal =
        error instanceof Refusal ? error : new Refusal(500, "InternalError", String(error));
      send(response, refusal.code, statusOf(refusal));
    }
  }

  #fails(call: Call, request: IncomingMessage, response: ServerResponse): boolean {
    const planned = this.#faults.find(({ when, times }) => times > 0 && when.test(lineOf(call)));
    if (planned === undefined) return false;
    planned.times--;
    const { fault } = planned;
    if (fault.kind === "reset") request.socket.resetAndDestroy();
    else if (fault.kind === "bytes") {
      response.writeHead(200, { "content-type": "application/json" }).end(fault.text);
    } else if (fault.kind === "answer") {
      const { status, headers = {} } = fault;
      const body = fault.body ?? statusOf(new Refusal(status, "", `refused with ${status}`));
      send(response, status, body, headers);
    }
    return true;
  }

  #serve(call: Call, body: Loose, contentType: string, response: ServerResponse): void {
    const { method, path, query } = call;
    if (method === "GET" && this.#discover(path, response)) return;
    const target = this.#target(path, query);
    const { name } = target;
    if (method === "GET" && name !== undefined) send(response, 200, this.#find(target));
    else if (method === "GET" && query.has("watch")) this.#watch(target, response);
    else if (method === "GET") send(response, 200, this.#list(target));
    else if (method === "POST") send(response, 201, this.#create(target, body));
    else if (method === "PUT") send(response, 200, this.#update(target, body));
    else if (method === "DELETE") send(response, 200, this.#delete(target, body));
    else if (method === "PATCH" && contentType.startsWith("application/merge-patch+json")) {
      const before = this.#find(target);
      send(response, 200, this.#update(target, mergePatch(before, body)));
    } else throw new Refusal(415, "UnsupportedMediaType", `${method} of ${contentType}`);
  }

  #discover(path: string, response: ServerResponse): boolean {
    const served = this.store.served();
    if (path === "/apis") {
      const groups = [...new Set(served.map(({ group }) => group))].filter((group) => group !== "");
      const versionsOf = (group: string) =>
        [...new Set(served.filter((one) => one.group === group).map(apiVersionOf))].map(
          (groupVersion) => ({ groupVersion, version: groupVersion.split("/")[1] }),
        );
      const list = groups.map((name) => ({ name, versions: versionsOf(name) }));
      send(response, 200, { kind: "APIGroupList", apiVersion: "v1", groups: list });
      return true;
    }
    const groupVersion = /^\/(?:api\/([^/]+)|apis\/([^/]+\/[^/]+))$/
      .exec(path)
      ?.slice(1)
      .find(Boolean);
    if (groupVersion === undefined) return false;
    const resources = served
      .filter((one) => apiVersionOf(one) === groupVersion)
      .flatMap(({ plural: name, kind, namespaced }) => [
        { name, kind, namespaced, verbs: ["get", "list", "watch"] },
        { name: `${name}/status`, kind, namespaced, verbs: ["get", "patch"] },
      ]);
    if (resources.length === 0) throw new Refusal(404, "NotFound", "no such group");
    send(response, 200, { kind: "APIResourceList", groupVersion, resources });
    return true;
  }

  #target(path: string, query: URLSearchParams): Target {
    const match =
      /^\/(?:api|apis\/(?<group>[^/]+))\/(?<version>[^/]+)(?:\/namespaces\/(?<namespace>[^/]+)(?=\/.))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<sub>[^/]+))?$/.exec(
        path,
      )?.groups;
    const { group = "", version, namespace, plural, name, sub } = match ?? {};
    const resource = this.store
      .served()
      .find((one) => one.group === group && one.version === version && one.plural === plural);
    // `/namespaces/x` itself is an object, of no namespace.
    if (resource === undefined)
      throw new Refusal(404, "NotFound", "the server could not find the requested resource");
    return {
      ...{ resource, namespace: decodeURIComponent(namespace ?? ""), sub, query },
      name: name === undefined ? undefined : decodeURIComponent(name),
    };
  }

  #find({ resource, namespace, name = "" }: Target): KubeObject {
    const found = this.store.get(ofKind(resource), namespace, name);
    if (found !== undefined) return { ...found, apiVersion: apiVersionOf(resource) };
    throw new Refusal(404, "NotFound", `${resource.plural} "${name}" not found`);
  }

  #list({ resource, namespace, query }: Target): object {
    const limit = Number(query.get("limit") ?? 0);
    const from = query.get("continue") ?? "";
    const [version, start] =
      from === "" ? [this.store.version, 0] : (JSON.parse(atob(from)) as [number, number]);
    if (from !== "" && version < this.store.compacted) {
      throw new Refusal(410, "Expired", "The provided continue parameter is too old");
    }
    // Later pages are of the moment of the first.
    const undone = new Map(this.store.list(ofKind(resource)).map((one) => [keyOf(one), one]));
    for (const { object, before } of this.store.history(ofKind(resource), version).reverse()) {
      if (before === null) undone.delete(keyOf(object));
      else undone.set(keyOf(object), before);
    }
    const all = [...undone.values()]
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
      .filter((one) => namespace === "" || one.metadata.namespace === namespace)
      .filter((one) => selects(one, query.get("labelSelector"), query.get("fieldSelector")));
    const end = limit === 0 ? all.length : start + limit;
    const next = end < all.length ? { continue: btoa(JSON.stringify([version, end])) } : {};
    const { kind, group } = resource;
    // Items of built-in kinds do not say what they are.
    const isBuiltIn = group === "" || !group.includes(".") || group.endsWith(".k8s.io");
    const items = all.slice(start, end).map((one) => {
      const { apiVersion: _, kind: __, ...rest } = one;
      return isBuiltIn ? rest : { ...one, apiVersion: apiVersionOf(resource) };
    });
    return {
      ...{ kind: `${kind}List`, apiVersion: apiVersionOf(resource) },
      metadata: { resourceVersion: String(version), ...next },
      items: items.length === 0 ? null : items,
    };
  }

  #watch({ resource, namespace, query }: Target, response: ServerResponse): void {
    const from = Number(query.get("resourceVersion"));
    const gone = new Refusal(
      410,
      "Expired",
      `too old resource version: ${from} (${this.store.compacted})`,
    );
    if (from < this.store.compacted && !this.goneAsEvent) throw gone;
    response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
    response.flushHeaders();
    const write = (type: string, object: object) => response.write(`${goJson({ type, object })}\n`);
    if (from < this.store.compacted) {
      write("ERROR", statusOf(gone));
      response.end();
      return;
    }
    const isMeant = (object: KubeObject | null) =>
      object !== null &&
      (namespace === "" || object.metadata.namespace === namespace) &&
      selects(object, query.get("labelSelector"), query.get("fieldSelector"));
    const tell = ({ type, object, before }: StoreEvent) => {
      const [is, was] = [type !== "DELETED" && isMeant(object), isMeant(before)];
      if (!is && !was) return;
      // What stops being selected is deleted for who selects.
      write(is ? (was ? "MODIFIED" : "ADDED") : "DELETED", {
        ...object,
        apiVersion: apiVersionOf(resource),
      });
    };
    for (const event of this.store.history(ofKind(resource), from)) tell(event);
    const watcher = { of: ofKind(resource), resource, response, tell };
    this.#watchers.add(watcher);
    response.on("close", () => this.#watchers.delete(watcher));
  }

  #create(target: Target, body: Loose): KubeObject {
    const { resource, namespace } = target;
    const { generateName, name = `${generateName}${this.store.version}` } = body.metadata ?? {};
    if (this.store.get(ofKind(resource), namespace, name) !== undefined) {
      throw new Refusal(409, "AlreadyExists", `${resource.plural} "${name}" already exists`);
    }
    const metadata = { ...body.metadata, name, ...(resource.namespaced ? { namespace } : {}) };
    return this.store.write(resource, { ...body, metadata });
  }

  /** Of a status only that changes; of the rest, all but that. */
  #update(target: Target, body: Loose): KubeObject {
    const { resource, sub } = target;
    const before = this.#find(target) as Loose;
    const version = body.metadata?.resourceVersion;
    if (version !== undefined && version !== before.metadata.resourceVersion) {
      throw new Refusal(
        409,
        "Conflict",
        "the object has been modified; please apply your changes to the latest version",
      );
    }
    if (sub === "status") return this.store.write(resource, { ...before, status: body.status });
    const { name, namespace, uid, creationTimestamp } = before.metadata;
    const metadata = {
      ...body.metadata,
      name,
      ...(namespace && { namespace }),
      uid,
      creationTimestamp,
    };
    const status = before.status === undefined ? {} : { status: before.status };
    const { status: _, ...rest } = body;
    return this.store.write(resource, { ...rest, ...status, metadata });
  }

  #delete(target: Target, body: Loose): object {
    const before = this.#find(target);
    const { uid, resourceVersion } = body?.preconditions ?? {};
    const { metadata } = before;
    if (
      (uid ?? metadata.uid) !== metadata.uid ||
      (resourceVersion ?? metadata.resourceVersion) !== metadata.resourceVersion
    ) {
      throw new Refusal(409, "Conflict", "the preconditions do not hold");
    }
    this.store.remove(target.resource, target.namespace, target.name ?? "");
    return { kind: "Status", apiVersion: "v1", status: "Success" };
  }
}

/** As Go's encoding/json writes it, and with it every API server. */
function goJson(value: unknown): string {
  return JSON.stringify(value)
    .replaceAll("<", "\\u003c")
    .replaceAll(">", "\\u003e")
    .replaceAll("&", "\\u0026")
    .replaceAll("\u2028", "\\u2028")
    .replaceAll("\u2029", "\\u2029");
}

const silent: Log = { debug() {}, info() {}, warn() {}, error() {} };

function lineOf({ method, path, query }: Call): string {
  return `${method} ${path}?${query}`;
}

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ""}/${metadata.name}`;
}

function statusOf({ code, reason, message }: Refusal) {
  return { kind: "Status", apiVersion: "v1", status: "Failure", code, reason, message };
}

function send(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  const isText = typeof body === "string";
  const type = isText ? "text/plain" : "application/json";
  response.writeHead(status, { "content-type": type, ...headers });
  response.end(isText ? body : goJson(body));
}

async function readBody(request: IncomingMessage): Promise<Loose> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part);
  const text = Buffer.concat(parts).toString("utf8");
  if (text === "") return undefined;
  const body: unknown = JSON.parse(text);
  if (!isRecord(body)) throw new Refusal(400, "BadRequest", "no object");
  return body;
}
