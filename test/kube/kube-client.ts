import assert from "node:assert/strict";
import { createInterface } from "node:readline";
import { Agent, request } from "undici";
import { parseAllDocuments } from "yaml";
import { type KubeObject, pathOf, pathOfObject } from "./objects.ts";

/** Where the API server is and who asks it. */
export interface Access {
  readonly url: string;
  readonly ca: string;
  readonly token: string;
  /** A Unix socket that leads there, for who cannot reach the address. */
  readonly socketPath?: string;
}

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: objects of all kinds
  readonly body: any;
}

export interface WatchEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: KubeObject;
}

const TIMEOUT_MS = 30_000;

/** A client of the API server for tests, which shares nothing with the client under test. */
export class KubeClient {
  readonly access: Access;
  readonly #agent: Agent;

  constructor(access: Access) {
    this.access = access;
    const { ca, socketPath } = access;
    const way = socketPath === undefined ? {} : { socketPath };
    this.#agent = new Agent({
      connect: { ca, servername: "kubernetes", ...way },
      ...{ bodyTimeout: 0, headersTimeout: TIMEOUT_MS, pipelining: 1 },
    });
  }

  /** The same server, as somebody else. */
  as(token: string): KubeClient {
    return new KubeClient({ ...this.access, token });
  }

  /** One call, whatever its status. Rejects where the server cannot be reached. */
  async call(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body?: unknown,
    contentType = "application/json",
  ): Promise<Answer> {
    const response = await request(this.access.url + path, {
      ...{ method, dispatcher: this.#agent, signal: AbortSignal.timeout(TIMEOUT_MS) },
      headers: { authorization: `Bearer ${this.access.token}`, "content-type": contentType },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.body.text();
    const isJson = String(response.headers["content-type"]).startsWith("application/json");
    return { status: response.statusCode, body: isJson ? JSON.parse(text) : text };
  }

  /** As `call`; a refusal is an error. */
  async must(...call: Parameters<KubeClient["call"]>): Promise<Answer["body"]> {
    const { status, body } = await this.call(...call);
    assert.ok(status < 300, `${call[0]} ${call[1]}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** The object, or null. */
  async get(path: string): Promise<KubeObject | null> {
    const { status, body } = await this.call("GET", path);
    if (status === 404) return null;
    assert.equal(status, 200, `GET ${path}: ${JSON.stringify(body)}`);
    return body;
  }

  list(apiVersion: string, kind: string, query = ""): Promise<{ items: KubeObject[] }> {
    return this.must("GET", pathOf(apiVersion, kind) + query);
  }

  create(object: KubeObject): Promise<KubeObject> {
    return this.must("POST", pathOf(object.apiVersion, object.kind, namespaceOf(object)), object);
  }

  /** Server-side apply, as `kubectl apply --server-side --force-conflicts`; of YAML every document. */
  async apply(...sources: readonly (KubeObject | string)[]): Promise<KubeObject[]> {
    const applied: KubeObject[] = [];
    for (const object of sources.flatMap(documentsOf)) {
      const path = `${pathOfObject(object)}?fieldManager=tests&force=true`;
      applied.push(await this.must("PATCH", path, object, "application/apply-patch+yaml"));
    }
    return applied;
  }

  /** A merge patch (RFC 7386) of the object, or of its status. */
  merge(object: KubeObject, patch: object, sub?: "status"): Promise<KubeObject> {
    return this.must("PATCH", pathOfObject(object, sub), patch, "application/merge-patch+json");
  }

  /** Deletes it; one that is gone already is no error. */
  async remove(object: KubeObject, options: object = {}): Promise<void> {
    const { status, body } = await this.call("DELETE", pathOfObject(object), options);
    assert.ok(status < 300 || status === 404 || status === 409, JSON.stringify(body));
  }

  /** Resolves when the server ends the watch; rejects where it breaks, or by `signal`. */
  async watch(path: string, onEvent: (event: WatchEvent) => void, signal: AbortSignal) {
    const response = await request(this.access.url + path, {
      ...{ dispatcher: this.#agent, signal },
      headers: { authorization: `Bearer ${this.access.token}` },
    });
    if (response.statusCode !== 200) {
      throw new Error(`watch ${path}: ${response.statusCode} ${await response.body.text()}`);
    }
    for await (const line of createInterface({ input: response.body })) onEvent(JSON.parse(line));
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

function namespaceOf({ metadata: { namespace = "default" } }: KubeObject): { namespace: string } {
  return { namespace };
}

function documentsOf(source: KubeObject | string): KubeObject[] {
  if (typeof source !== "string") return [source];
  return parseAllDocuments(source)
    .map((document) => document.toJS())
    .filter((object) => object !== null);
}
