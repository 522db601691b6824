import type { Log } from "../../registry/log.ts";
import { JsonLines } from "./json-lines.ts";
import { readApiError } from "./kube-api-error.ts";
import { KubeTransport, type TransportAnswer, type TransportCall } from "./kube-transport.ts";
import {
  type ApiResource,
  apiVersionOf,
  isRecord,
  type KubeObject,
  pathOf,
  readObject,
} from "./objects.ts";
import { TooLongError } from "./too-long-error.ts";

const CALL_MS = 30_000;
/** A page of a list may be large, and the server slow. */
const LIST_MS = 60_000;
/** Of a list in one piece, and of everything that is no list. */
const ANSWER_BYTES = 268_435_456;
/** Of a page, whose reader can ask for fewer objects: 500 pods of 100 KiB, or four of the largest objects that there are. */
const PAGE_BYTES = 67_108_864;
/**
 * etcd takes no request over 1.5 MiB (`--max-request-bytes`). The JSON of Go writes `<`, `>` and `&` as six bytes each, so such an
 * object may come as 9 MiB; the rest is for administrators who let etcd take more.
 */
const EVENT_BYTES = 16_777_216;
/** A watch is told to end by the server at its own time; so much later it has hung. */
const WATCH_SLACK_MS = 30_000;
/** No server is waited for any longer, whatever it says. */
const RETRY_AFTER_MS = 120_000;

export interface KubeCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Without the server's own path. */
  readonly path: string;
  readonly query?: Record<string, string>;
  readonly body?: unknown;
  /** Default `application/json`; a patch needs one of its own, as `application/merge-patch+json`. */
  readonly contentType?: string;
  /** The whole call, in ms. Default 30 s. */
  readonly timeoutMs?: number;
  /** The longest answer that is taken. Default 256 MiB. */
  readonly answerBytes?: number;
  /** Ends the call before. */
  readonly signal?: AbortSignal;
}

/** Which objects of a kind. */
export interface Selection {
  /** Default: all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

export interface ListQuery extends Selection {
  /** Objects of one page; default: all at once. */
  readonly limit?: number;
  /** From the page before. */
  readonly continue?: string;
}

export interface KubeList {
  readonly items: readonly KubeObject[];
  /** What a watch goes on from. */
  readonly resourceVersion: string;
  /** Asks for the next page; empty: this was the last one. */
  readonly continue: string;
}

export interface WatchQuery extends Selection {
  readonly resourceVersion: string;
  /** When the server shall end the watch. */
  readonly timeoutSeconds: number;
}

export interface ObjectEvent {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly object: KubeObject;
  readonly resourceVersion: string;
}

/** BOOKMARK: nothing that is watched has changed up to this version. */
export type WatchEvent =
  | ObjectEvent
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export interface KubeApiOptions {
  /** Path of a kubeconfig; empty: KUBECONFIG, the pod's own account, or the kubeconfig of the home folder. */
  readonly kubeconfig: string;
  /** Which of its contexts; empty: its current one. */
  readonly context: string;
  readonly log: Log;
}

/** A client of one Kubernetes API server. Calls reject with a KubeApiError where it says no, with another where it says nothing. */
export class KubeApi {
  readonly #transport: KubeTransport;
  readonly #log: Log;

  private constructor(transport: KubeTransport, log: Log) {
    this.#transport = transport;
    this.#log = log;
  }

  /** Reads the configuration; nothing is asked of the server yet. */
  static async open({ kubeconfig, context, log }: KubeApiOptions): Promise<KubeApi> {
    return new KubeApi(await KubeTransport.open({ kubeconfig, context }), log);
  }

  /** The API server's URL. */
  get server(): string {
    return this.#transport.server;
  }

  async request(call: KubeCall): Promise<{ readonly status: number; readonly body: unknown }> {
    const { method, path, query = {}, body, contentType, timeoutMs = CALL_MS, signal } = call;
    const inTime = AbortSignal.timeout(timeoutMs);
    const answer = await this.#send({
      ...{ method, path, query, headersMs: timeoutMs, bodyMs: timeoutMs },
      ...(body === undefined ? {} : { body }),
      ...(contentType === undefined ? {} : { contentType }),
      signal: signal === undefined ? inTime : AbortSignal.any([inTime, signal]),
    });
    return { status: answer.status, body: await this.#read(answer, call.answerBytes) };
  }

  /**
   * One page, as of now: never an older state out of the server's cache. Rejects with a TooLongError where a page that has a
   * limit is longer than 64 MiB, or one without is longer than 256 MiB.
   */
  async list(
    resource: ApiResource,
    query: ListQuery = {},
    signal?: AbortSignal,
  ): Promise<KubeList> {
    const { limit, continue: from } = query;
    const { body } = await this.request({
      method: "GET",
      path: pathOf(resource, query.namespace),
      query: {
        ...selectors(query),
        ...(limit === undefined ? {} : { limit: String(limit) }),
        ...(from === undefined || from === "" ? {} : { continue: from }),
      },
      timeoutMs: LIST_MS,
      answerBytes: limit === undefined ? ANSWER_BYTES : PAGE_BYTES,
      ...(signal === undefined ? {} : { signal }),
    });
    return readList(body, resource);
  }

  /**
   * Tells of every change after a resourceVersion, in order, until the server ends the watch at its time: then it
   * resolves. It rejects when the connection fails, hangs or is aborted, and for what is no event, or too long
   * (16 MiB: a TooLongError).
   * `onOpen`: the server has agreed to tell.
   */
  async watch(
    resource: ApiResource,
    query: WatchQuery,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
    onOpen?: () => void,
  ): Promise<void> {
    const { resourceVersion, timeoutSeconds } = query;
    const hungMs = timeoutSeconds * 1_000 + WATCH_SLACK_MS;
    const answer = await this.#send({
      method: "GET",
      path: pathOf(resource, query.namespace),
      query: {
        ...selectors(query),
        ...{ watch: "1", allowWatchBookmarks: "true" },
        ...{ resourceVersion, timeoutSeconds: String(timeoutSeconds) },
      },
      ...{ headersMs: CALL_MS, bodyMs: hungMs, signal },
    });
    const lines = new JsonLines(EVENT_BYTES);
    onOpen?.();
    // Leaving the loop, by an error too, ends the connection.
    for await (const chunk of answer.body) {
      for (const value of lines.push(chunk)) onEvent(readEvent(value, resource));
    }
    if (lines.heldBytes > 0) throw new Error("the watch ended in the middle of an event");
  }

  /** Every kind that is served, in each of its versions; without subresources. A group that does not answer is left out. */
  async discover(): Promise<readonly ApiResource[]> {
    const { body } = await this.request({ method: "GET", path: "/apis" });
    const groups = arrayOf(body, "groups").flatMap((group) => arrayOf(group, "versions"));
    const versions = groups.flatMap((version) => textOf(version, "groupVersion") ?? []);
    const found = await Promise.all(["v1", ...versions].map((one) => this.#resourcesOf(one)));
    return found.flat();
  }

  /** Ends every call and watch under way. */
  async close(): Promise<void> {
    await this.#transport.close();
  }

  async #resourcesOf(groupVersion: string): Promise<ApiResource[]> {
    const [group, version] = groupVersion.includes("/")
      ? (groupVersion.split("/") as [string, string])
      : ["", groupVersion];
    const path = `${group === "" ? "/api" : "/apis"}/${groupVersion}`;
    try {
      const { body } = await this.request({ method: "GET", path });
      return arrayOf(body, "resources").flatMap((one) => {
        const [kind, plural] = [textOf(one, "kind"), textOf(one, "name")];
        if (kind === undefined || plural === undefined || plural.includes("/")) return [];
        return [{ group, version, kind, plural, namespaced: one["namespaced"] === true }];
      });
    } catch (error) {
      // One broken aggregated API must not hide all others.
      this.#log.warn("a group of the Kubernetes API does not answer", { groupVersion, error });
      return [];
    }
  }

  async #send(call: TransportCall): Promise<TransportAnswer> {
    const answer = await this.#transport.send(call).catch((cause: unknown) => {
      throw new Error(`no answer of the API server at ${this.#transport.server}`, { cause });
    });
    if (answer.status < 400) return answer;
    const waitMs = Math.min(Number(answer.headers["retry-after"]) * 1_000, RETRY_AFTER_MS);
    const body = await this.#read(answer).catch(() => null);
    throw readApiError(answer.status, body, waitMs > 0 ? waitMs : null);
  }

  async #read(
    { headers, body }: TransportAnswer,
    limitBytes: number = ANSWER_BYTES,
  ): Promise<unknown> {
    const parts: Buffer[] = [];
    let length = 0;
    for await (const chunk of body) {
      length += chunk.length;
      if (length > limitBytes) throw new TooLongError("an answer", limitBytes);
      parts.push(chunk);
    }
    const text = Buffer.concat(parts).toString("utf8");
    return String(headers["content-type"]).includes("json") ? JSON.parse(text) : text;
  }
}

function selectors({ labelSelector, fieldSelector }: Selection): Record<string, string> {
  return {
    ...(labelSelector === undefined ? {} : { labelSelector }),
    ...(fieldSelector === undefined ? {} : { fieldSelector }),
  };
}

function readList(body: unknown, resource: ApiResource): KubeList {
  const metadata = isRecord(body) ? body["metadata"] : undefined;
  const resourceVersion = textOf(metadata, "resourceVersion");
  // A Go server writes an empty list as null.
  const items = isRecord(body) ? (body["items"] ?? []) : undefined;
  if (resourceVersion === undefined || resourceVersion === "" || !Array.isArray(items)) {
    throw new Error(`the answer is no list of ${resource.plural} (${apiVersionOf(resource)})`);
  }
  return {
    items: items.map((item) => readObject(item, resource)),
    resourceVersion,
    continue: textOf(metadata, "continue") ?? "",
  };
}

function readEvent(value: unknown, resource: ApiResource): WatchEvent {
  const [type, object] = isRecord(value) ? [value["type"], value["object"]] : [];
  if (type === "ERROR") throw readApiError(500, object);
  const version = isRecord(object) ? textOf(object["metadata"], "resourceVersion") : undefined;
  if (version === undefined || version === "") {
    throw new Error(`an event without a resourceVersion in a watch of ${resource.plural}`);
  }
  if (type === "BOOKMARK") return { type, resourceVersion: version };
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED") {
    throw new Error(`an event of an unknown type in a watch of ${resource.plural}`);
  }
  return { type, object: readObject(object, resource), resourceVersion: version };
}

function textOf(value: unknown, field: string): string | undefined {
  const found = isRecord(value) ? value[field] : undefined;
  return typeof found === "string" ? found : undefined;
}

function arrayOf(value: unknown, field: string): Readonly<Record<string, unknown>>[] {
  const found = isRecord(value) ? value[field] : undefined;
  return Array.isArray(found) ? found.filter(isRecord) : [];
}
