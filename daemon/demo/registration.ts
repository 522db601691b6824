import { request } from "undici";
import * as z from "zod";
import { DEFAULT_NAMESPACE } from "../../src/core/model.ts";
import { DEMO_INSTANCES, DEMO_PREFIX, type DemoInstance } from "./application.ts";
import type { ContainerPlan } from "./network-plan.ts";
import { DEMO_RESOURCE_PATHS, DEMO_RESOURCES } from "./traffic-split.ts";

const TIMEOUT_MS = 5_000;
const servicesAnswer = z.array(z.object({ name: z.string(), addresses: z.array(z.string()) }));

/** What the demo has told the registry; everything carries the demo's prefix and this host's name. */
export class DemoRegistration {
  readonly #url: string;
  readonly #host: string;

  constructor(url: string, host: string) {
    this.#url = url.replace(/\/+$/, "");
    this.#host = host;
  }

  /** Registers endpoints and workloads in one step, and applies the traffic split. */
  async add(
    endpoints: readonly { instance: DemoInstance; address: string; port: number }[],
    containers: readonly ContainerPlan[],
  ): Promise<void> {
    await this.#call("POST", "/v1/mesh/apply", {
      endpoints: endpoints.map(({ instance, address, port }) => ({
        id: DEMO_PREFIX + instance.name,
        host: this.#host,
        service: instance.service,
        address,
        port,
        meta: {
          note: instance.note,
          ...(instance.version === null ? {} : { version: instance.version }),
        },
      })),
      workloads: containers.map(({ name, address4, address6 }) => ({
        name: DEMO_PREFIX + name,
        serviceAccount: name,
        host: this.#host,
        addresses: address6 === null ? [address4] : [address4, address6],
      })),
    });
    await this.#call("POST", "/v1/mesh/resources?atomic=true", DEMO_RESOURCES);
  }

  /** The demo's services with the virtual addresses that the registry gave them. */
  async services(): Promise<z.infer<typeof servicesAnswer>> {
    const text = await this.#call("GET", `/v1/mesh/services?namespace=${DEFAULT_NAMESPACE}`);
    const names = new Set(DEMO_INSTANCES.map(({ service }) => service));
    return servicesAnswer.parse(JSON.parse(text)).filter(({ name }) => names.has(name));
  }

  /** Takes everything back. Throws where the registry cannot be reached. */
  async removeAll(): Promise<void> {
    for (const path of DEMO_RESOURCE_PATHS) await this.#call("DELETE", path);
    for (const { name, service } of DEMO_INSTANCES) {
      const id = DEMO_PREFIX + name;
      if (service !== null) await this.#call("DELETE", `/v1/mesh/endpoints/${this.#host}/${id}`);
      await this.#call("DELETE", `/v1/mesh/workloads/${DEFAULT_NAMESPACE}/${id}`);
    }
  }

  async #call(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<string> {
    const { statusCode, body: answer } = await request(this.#url + path, {
      method,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isGone = method === "DELETE" && statusCode === 404;
    if (statusCode >= 300 && !isGone) {
      throw new Error(`the registry refused ${method} ${path}: ${statusCode} ${text}`);
    }
    return text;
  }
}
