import { bucketNames } from "../buckets.ts";
import type { Catalog } from "../catalog.ts";
import type { RegistryParts } from "../parts.ts";
import type { StoredRecord } from "../records.ts";
import type { RegistryRequest, Route } from "../route.ts";

/** The reading half of `/v1/mesh`. Lists are sent while they are made, so that a large one stalls nothing. */
export function meshListRoutes(parts: RegistryParts): Route[] {
  const { catalog } = parts;
  return [
    {
      method: "GET",
      pattern: "/v1/mesh/services",
      allow: ["host"],
      handle: (request) => ({
        items: lazily(catalog.all("service"), ({ value }) =>
          matches(request, value.service)
            ? {
                ...value.service,
                declared: value.declared,
                ...(value.resource === undefined ? {} : { resource: value.resource }),
                endpoints: countHealth(catalog, value),
              }
            : null,
        ),
      }),
    },
    {
      method: "GET",
      pattern: "/v1/mesh/endpoints",
      allow: ["host"],
      handle: (request) => ({
        items: lazily(catalog.all("endpoint"), ({ value }) =>
          matches(request, value.endpoint)
            ? {
                ...value.endpoint,
                ...(value.resource === undefined ? {} : { resource: value.resource }),
                tags: value.tags,
                checks: checksOf(catalog, value.endpoint.id),
              }
            : null,
        ),
      }),
    },
    {
      method: "GET",
      pattern: "/v1/mesh/workloads",
      allow: ["host"],
      handle: (request) => ({
        items: lazily(catalog.all("workload"), ({ value }) =>
          matches(request, value) ? value : null,
        ),
      }),
    },
  ];
}

function* lazily<T>(records: readonly T[], show: (record: T) => unknown): Iterable<unknown> {
  for (const record of records) {
    const shown = show(record);
    if (shown !== null) yield shown;
  }
}

/** `?namespace=`, `?service=` and `?host=`, where the record has such a field. */
function matches(
  { query }: RegistryRequest,
  record: {
    readonly namespace: string;
    readonly name?: string;
    readonly service?: string;
    readonly host?: string;
  },
): boolean {
  const is = (wanted: string | null, actual: string | undefined) =>
    wanted === null || actual === undefined || wanted === actual;
  return (
    is(query.get("namespace"), record.namespace) &&
    is(query.get("name"), record.name) &&
    is(query.get("service"), record.service) &&
    is(query.get("host"), record.host)
  );
}

function countHealth(catalog: Catalog, { service }: StoredRecord<"service">["value"]) {
  const counts = { passing: 0, warning: 0, critical: 0 };
  const bucket = bucketNames.endpointsOfService(`${service.namespace}/${service.name}`);
  for (const key of catalog.members(bucket)) {
    const health = catalog.get("endpoint", key)?.endpoint.health;
    if (health !== undefined) counts[health]++;
  }
  return counts;
}

function checksOf(catalog: Catalog, endpointId: string) {
  return [...catalog.members(bucketNames.checksOfEndpoint(endpointId))]
    .map((key) => catalog.get("check", key))
    .filter((check) => check !== undefined)
    .map(({ id, name, status, output }) => ({ id, name, status, output }));
}
