import { Agent, request } from "undici";
import * as z from "zod";
import type { Workload } from "../core/model.ts";
import { endpointSchema, serviceSchema, workloadSchema } from "./record-schema.ts";
import type { applyBody, endpointBody, serviceBody, workloadBody } from "./schema.ts";

/** The registry refused a request, or could not be reached (`status` 0). */
export class RegistryRequestError extends Error {
  readonly status: number;
  /** Path of the field that is to blame. */
  readonly path: string | undefined;

  constructor(message: string, status: number, path?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "RegistryRequestError";
    this.status = status;
    this.path = path;
  }
}

const health = z.object({ passing: z.number(), warning: z.number(), critical: z.number() });
const listedService = serviceSchema.extend({ declared: z.boolean(), endpoints: health });
const listedEndpoint = endpointSchema.extend({
  tags: z.array(z.string()),
  checks: z.array(
    z.object({ id: z.string(), name: z.string(), status: z.string(), output: z.string() }),
  ),
});
const statusReply = z.object({
  epoch: z.string(),
  revision: z.number(),
  digest: z.string(),
  host: z.string(),
  services: z.number(),
  endpoints: z.number(),
  workloads: z.number(),
  checks: z.number(),
  blockingQueries: z.number(),
  daemons: z.array(
    z.object({
      host: z.string(),
      zone: z.string(),
      version: z.string(),
      peer: z.string(),
      revision: z.number(),
      connectedMs: z.number(),
      silentMs: z.number(),
      bufferedBytes: z.number(),
      resyncs: z.number(),
      refusal: z.object({ revision: z.number(), reason: z.string() }).nullable(),
    }),
  ),
});
const applyReply = z.object({
  revision: z.number(),
  services: z.number(),
  endpoints: z.number(),
  workloads: z.number(),
});
const removalReply = z.object({ key: z.string(), removed: z.boolean() });
const errorReply = z.object({ error: z.string(), path: z.string().optional() });

export type ListedService = z.infer<typeof listedService>;
export type ListedEndpoint = z.infer<typeof listedEndpoint>;
export type RegistryStatus = z.infer<typeof statusReply>;
/** What may be left out of a query's answer. */
export interface ListFilter {
  readonly namespace?: string;
  readonly service?: string;
  readonly host?: string;
}

export interface RegistryHttpClientOptions {
  /** Base URL of the registry. */
  readonly url: string;
  /** Longest wait for an answer, and between parts of it. */
  readonly timeoutMs?: number;
}

/** The registry's HTTP API for commands and scripts. Every method rejects with `RegistryRequestError`. */
export class RegistryHttpClient {
  readonly #url: string;
  readonly #agent: Agent;

  constructor({ url, timeoutMs = 10_000 }: RegistryHttpClientOptions) {
    this.#url = url.endsWith("/") ? url : `${url}/`;
    this.#agent = new Agent({
      connect: { timeout: timeoutMs },
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
  }

  /** Consul's registration, as it stands in `registration`; `node` names the host it belongs to. */
  async register(registration: unknown, node?: string): Promise<void> {
    await this.#send("PUT", `v1/agent/service/register${query({ node })}`, registration);
  }

  /** Consul's deregistration; an unknown id is no error. */
  async deregister(id: string, node?: string): Promise<void> {
    await this.#send("PUT", `v1/agent/service/deregister/${path(id)}${query({ node })}`);
  }

  async services(filter: ListFilter = {}): Promise<ListedService[]> {
    const target = `v1/mesh/services${query(filter)}`;
    return parseReply(z.array(listedService), await this.#send("GET", target));
  }

  async endpoints(filter: ListFilter = {}): Promise<ListedEndpoint[]> {
    const reply = await this.#send("GET", `v1/mesh/endpoints${query(filter)}`);
    return parseReply(z.array(listedEndpoint), reply);
  }

  async workloads(filter: ListFilter = {}): Promise<Workload[]> {
    const reply = await this.#send("GET", `v1/mesh/workloads${query(filter)}`);
    return parseReply(z.array(workloadSchema), reply);
  }

  async status(): Promise<RegistryStatus> {
    return parseReply(statusReply, await this.#send("GET", "v1/mesh/status"));
  }

  /** Services, endpoints and workloads in one transaction. */
  async apply(batch: z.input<typeof applyBody>): Promise<z.infer<typeof applyReply>> {
    return parseReply(applyReply, await this.#send("POST", "v1/mesh/apply", batch));
  }

  async putService(
    namespace: string,
    name: string,
    body: z.input<typeof serviceBody>,
  ): Promise<void> {
    await this.#send("PUT", `v1/mesh/services/${path(`${namespace}/${name}`)}`, body);
  }

  /** False: there was none. */
  deleteService(namespace: string, name: string): Promise<boolean> {
    return this.#remove(`v1/mesh/services/${path(`${namespace}/${name}`)}`);
  }

  /** `id` is `host/instance`. */
  async putEndpoint(id: string, body: z.input<typeof endpointBody>): Promise<void> {
    await this.#send("PUT", `v1/mesh/endpoints/${path(id)}`, body);
  }

  /** False: there was none. */
  deleteEndpoint(id: string): Promise<boolean> {
    return this.#remove(`v1/mesh/endpoints/${path(id)}`);
  }

  async putWorkload(
    namespace: string,
    name: string,
    body: z.input<typeof workloadBody>,
  ): Promise<void> {
    await this.#send("PUT", `v1/mesh/workloads/${path(`${namespace}/${name}`)}`, body);
  }

  /** False: there was none. */
  deleteWorkload(namespace: string, name: string): Promise<boolean> {
    return this.#remove(`v1/mesh/workloads/${path(`${namespace}/${name}`)}`);
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  async #remove(target: string): Promise<boolean> {
    return parseReply(removalReply, await this.#send("DELETE", target)).removed;
  }

  async #send(method: "GET" | "PUT" | "POST" | "DELETE", target: string, body?: unknown) {
    const { status, text } = await this.#exchange(method, target, body);
    const reply = readJson(text, status);
    if (status < 300) return reply;
    const failure = errorReply.safeParse(reply);
    const message = failure.success ? failure.data.error : `the registry answered ${status}`;
    throw new RegistryRequestError(message, status, failure.data?.path);
  }

  async #exchange(method: "GET" | "PUT" | "POST" | "DELETE", target: string, body: unknown) {
    try {
      const response = await request(new URL(target, this.#url), {
        dispatcher: this.#agent,
        method,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      return { status: response.statusCode, text: await response.body.text() };
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message || cause.name : String(cause);
      const message = `the registry at ${this.#url} cannot be reached: ${reason}`;
      throw new RegistryRequestError(message, 0, undefined, cause);
    }
  }
}

function readJson(text: string, status: number): unknown {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RegistryRequestError("the answer is not JSON", status, undefined, cause);
  }
}

function parseReply<T>(schema: z.ZodType<T>, reply: unknown): T {
  const result = schema.safeParse(reply);
  if (result.success) return result.data;
  const reason = z.prettifyError(result.error);
  throw new RegistryRequestError(
    `the answer is not a registry's: ${reason}`,
    200,
    undefined,
    result.error,
  );
}

function path(id: string): string {
  return id.split("/").map(encodeURIComponent).join("/");
}

function query(parameters: object): string {
  const given = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}
