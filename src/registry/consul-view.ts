import { createHash } from "node:crypto";
import { keyOf } from "../core/model.ts";
import { bucketNames } from "./buckets.ts";
import type { Catalog } from "./catalog.ts";
import { formatGoDuration } from "./duration.ts";
import type { StoredCheck, StoredRecord } from "./records.ts";

/** Answers in the shapes of Consul's API (api-docs/health, catalog, agent/service, agent/check). */
export class ConsulView {
  readonly #catalog: Catalog;
  readonly #own: { readonly host: string; readonly nodeAddress: string };
  static readonly datacenter = "dc1";

  constructor(catalog: Catalog, own: { readonly host: string; readonly nodeAddress: string }) {
    this.#catalog = catalog;
    this.#own = own;
  }

  /** Endpoints of a service, in the order of their ids. */
  endpointsOf(serviceKey: string): StoredRecord<"endpoint">[] {
    return this.#records(bucketNames.endpointsOfService(serviceKey));
  }

  /** One entry of `/v1/health/service/:name`. */
  healthEntry(record: StoredRecord<"endpoint">): unknown {
    const { endpoint } = record.value;
    const checks = this.#checksOf(endpoint.id).map((check) => this.check(check));
    const node = this.#node(endpoint.host, endpoint.address);
    return { Node: node, Service: this.service(record), Checks: checks };
  }

  /** One entry of `/v1/catalog/service/:name`. */
  catalogEntry(record: StoredRecord<"endpoint">): unknown {
    const { endpoint, instance, tags, weights } = record.value;
    const { ID, Node, Address, Datacenter, TaggedAddresses, Meta } = this.#node(
      endpoint.host,
      endpoint.address,
    );
    return {
      ID,
      Node,
      Address,
      Datacenter,
      TaggedAddresses,
      NodeMeta: Meta,
      ServiceID: instance,
      ServiceName: endpoint.service,
      ServiceTags: tags,
      ServiceAddress: endpoint.address,
      ServicePort: endpoint.port,
      ServiceMeta: endpoint.meta,
      ServiceWeights: { Passing: weights.passing, Warning: weights.warning },
      ServiceEnableTagOverride: false,
      Namespace: endpoint.namespace,
      CreateIndex: record.created,
      ModifyIndex: record.revision,
    };
  }

  /** A service instance, as `/v1/agent/services` and health entries show it. */
  service({ value, created, revision }: StoredRecord<"endpoint">) {
    const { endpoint, instance, tags, weights } = value;
    const declared = this.#catalog.get(
      "service",
      keyOf({ namespace: endpoint.namespace, name: endpoint.service }),
    );
    const virtual = declared?.service.addresses[0];
    const virtualPort = declared?.service.ports[0]?.port ?? endpoint.port;
    return {
      ID: instance,
      Service: endpoint.service,
      Namespace: endpoint.namespace,
      Tags: tags,
      Address: endpoint.address,
      TaggedAddresses:
        virtual === undefined ? {} : { virtual: { Address: virtual, Port: virtualPort } },
      Port: endpoint.port,
      Meta: endpoint.meta,
      Weights: { Passing: weights.passing, Warning: weights.warning },
      EnableTagOverride: false,
      Datacenter: ConsulView.datacenter,
      CreateIndex: created,
      ModifyIndex: revision,
    };
  }

  /** A check, as health entries and `/v1/agent/checks` show it. */
  check({ value, created, revision }: StoredRecord<"check">) {
    const endpoint = this.#catalog.get("endpoint", value.endpoint);
    const { spec } = value;
    const probe = spec.kind === "ttl" ? null : spec;
    return {
      Node: value.host,
      CheckID: value.id,
      Name: value.name,
      Status: value.status,
      Notes: value.notes,
      Output: value.output,
      ServiceID: endpoint?.instance ?? "",
      ServiceName: endpoint?.endpoint.service ?? "",
      ServiceTags: endpoint?.tags ?? [],
      Type: spec.kind,
      Interval: probe === null ? "" : formatGoDuration(probe.intervalMs),
      Timeout: probe === null ? "" : formatGoDuration(probe.timeoutMs),
      Definition: {},
      CreateIndex: created,
      ModifyIndex: revision,
    };
  }

  /** `/v1/catalog/services`: names of a namespace with the tags of all instances. */
  services(namespace: string): Record<string, string[]> {
    const found = this.#catalog
      .all("service")
      .map(({ value }) => value.service)
      .filter((service) => service.namespace === namespace)
      .map((service): [string, string[]] => {
        const tags = this.endpointsOf(keyOf(service)).flatMap(({ value }) => value.tags);
        return [service.name, [...new Set(tags)].sort()];
      });
    return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** `/v1/agent/services` of a host. */
  agentServices(host: string): Record<string, unknown> {
    const records = this.#records(bucketNames.endpointsOfHost(host));
    return Object.fromEntries(records.map((each) => [each.value.instance, this.service(each)]));
  }

  /** `/v1/agent/checks` of a host. */
  agentChecks(host: string): Record<string, unknown> {
    const checks = this.#records(bucketNames.endpointsOfHost(host)).flatMap(({ key }) =>
      this.#checksOf(key),
    );
    return Object.fromEntries(checks.map((each) => [each.value.id, this.check(each)]));
  }

  /** Do all checks of an endpoint pass? */
  passing(record: StoredRecord<"endpoint">): boolean {
    return record.value.endpoint.health === "passing";
  }

  #records(bucket: string): StoredRecord<"endpoint">[] {
    return [...this.#catalog.members(bucket)]
      .sort()
      .map((key) => this.#catalog.record("endpoint", key))
      .filter((record) => record !== undefined);
  }

  #checksOf(endpointId: string): StoredRecord<"check">[] {
    return [...this.#catalog.members(bucketNames.checksOfEndpoint(endpointId))]
      .sort()
      .map((key) => this.#catalog.record("check", key))
      .filter((record) => record !== undefined);
  }

  /** Of another host no more is known than where its endpoint is. */
  #node(host: string, endpointAddress: string) {
    const address = host === this.#own.host ? this.#own.nodeAddress : endpointAddress;
    return {
      ID: nodeId(host),
      Node: host,
      Address: address,
      Datacenter: ConsulView.datacenter,
      TaggedAddresses: { lan: address, wan: address },
      Meta: {},
    };
  }
}

/** Key of a check of a host. */
export function checkKey(host: string, id: StoredCheck["id"]): string {
  return `${host}/${id}`;
}

/** Consul's nodes have a UUID; ours are known by name, so it is derived from that. */
function nodeId(host: string): string {
  const hex = createHash("sha256").update(host).digest("hex");
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(12, 16),
    hex.slice(16, 20),
    hex.slice(20, 32),
  ].join("-");
}
