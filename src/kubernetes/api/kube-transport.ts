import type { IncomingHttpHeaders } from "node:http";
import type { Dispatcher } from "undici";
import { ClusterAccess, type ClusterChoice, type ClusterTls } from "./cluster-access.ts";

const CONNECT_MS = 10_000;
/** A peer that is gone without a word is noticed by the system soon after: a watch may be silent for long. */
const KEEP_ALIVE_MS = 20_000;

export interface TransportCall {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly contentType?: string;
  /** Until the answer begins, in ms. */
  readonly headersMs: number;
  /** Between two parts of the answer's body, in ms. */
  readonly bodyMs: number;
  readonly signal: AbortSignal;
}

export interface TransportAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** To be read to its end or destroyed. */
  readonly body: Dispatcher.ResponseData["body"];
}

/**
 * HTTP/1.1 to the API server. The client library's own requests are not used: its watch passes over garbled events, holds
 * a line of any length, and takes half a minute without an event for a failure.
 */
export class KubeTransport {
  readonly #access: ClusterAccess;
  readonly #closing = new AbortController();
  #dispatcher: Dispatcher | null = null;
  /** What the dispatcher was made of. */
  #madeOf = "";

  private constructor(access: ClusterAccess) {
    this.#access = access;
  }

  static async open(choice: ClusterChoice): Promise<KubeTransport> {
    return new KubeTransport(await ClusterAccess.load(choice));
  }

  get server(): string {
    return this.#access.server;
  }

  /** Rejects where nothing answers. A 401 is asked again once, with credentials that are read anew. */
  async send(call: TransportCall): Promise<TransportAnswer> {
    const answer = await this.#exchange(call);
    if (answer.status !== 401) return answer;
    await answer.body.dump();
    await this.#access.reload();
    return this.#exchange(call);
  }

  /** Ends every call under way. */
  async close(): Promise<void> {
    this.#closing.abort(new Error("closed"));
    await this.#dispatcher?.destroy();
    this.#dispatcher = null;
  }

  async #exchange(call: TransportCall): Promise<TransportAnswer> {
    const signal = AbortSignal.any([call.signal, this.#closing.signal]);
    const { request } = await import("undici");
    const { headers, tls } = await within(this.#access.credentials(), signal);
    signal.throwIfAborted();
    const answer = await request(this.#urlOf(call), {
      dispatcher: await this.#dispatcherFor(tls),
      method: call.method,
      headers: { ...headers, ...contentHeaders(call) },
      ...(call.body === undefined ? {} : { body: JSON.stringify(call.body) }),
      ...{ headersTimeout: call.headersMs, bodyTimeout: call.bodyMs, signal },
    });
    return { status: answer.statusCode, headers: answer.headers, body: answer.body };
  }

  #urlOf({ path, query }: TransportCall): URL {
    const url = new URL(this.#access.server);
    url.pathname = `${url.pathname.replace(/\/$/, "")}${path}`;
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url;
  }

  /** Certificates that have changed take a dispatcher of their own; calls under way end on the old one. */
  async #dispatcherFor(tls: ClusterTls): Promise<Dispatcher> {
    const { proxyUrl } = this.#access;
    const { Agent, ProxyAgent } = await import("undici");
    const madeOf = JSON.stringify([proxyUrl, tls]);
    if (this.#dispatcher !== null && this.#madeOf === madeOf) return this.#dispatcher;
    void this.#dispatcher?.close();
    const common = { allowH2: false, pipelining: 1 };
    const connect = { timeout: CONNECT_MS, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS };
    this.#dispatcher =
      proxyUrl === ""
        ? new Agent({ ...common, connect: { ...connect, ...tls, allowH2: false } })
        : new ProxyAgent({ ...common, uri: proxyUrl, requestTls: { ...tls, allowH2: false } });
    this.#madeOf = madeOf;
    return this.#dispatcher;
  }
}

function contentHeaders({ body, contentType = "application/json" }: TransportCall) {
  const common = { accept: "application/json", "user-agent": "hostmesh" };
  return body === undefined ? common : { ...common, "content-type": contentType };
}

/** A plugin for credentials may hang; the call does not. */
async function within<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
