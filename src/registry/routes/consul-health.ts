import { DEFAULT_NAMESPACE, keyOf } from "../../core/model.ts";
import { ConsulView } from "../consul-view.ts";
import { parseGoDuration } from "../duration.ts";
import type { RegistryParts } from "../parts.ts";
import { RegistryError } from "../registry-error.ts";
import type { RegistryRequest, Reply, Route } from "../route.ts";
import { isSet } from "./consul-agent.ts";

/** Parameters that would change the answer and that we do not implement: refused, never ignored. */
const REFUSED = ["filter", "near", "node-meta", "peer", "sg", "partition", "hash"];

/** `/v1/health`, `/v1/catalog` and `/v1/status`: queries, with Consul's blocking semantics. */
export function consulHealthRoutes(parts: RegistryParts): Route[] {
  const view = new ConsulView(parts.catalog, parts);
  return [
    {
      method: "GET",
      pattern: "/v1/health/service/:name",
      allow: ["host"],
      async handle(request) {
        const key = await awaitService(parts, request);
        const passing = isSet(request.query, "passing");
        const found = withTags(request, view.endpointsOf(key));
        return reply(
          parts,
          found
            .filter((each) => !passing || view.passing(each))
            .map((each) => view.healthEntry(each)),
        );
      },
    },
    {
      method: "GET",
      pattern: "/v1/catalog/service/:name",
      allow: ["host"],
      async handle(request) {
        const key = await awaitService(parts, request);
        return reply(
          parts,
          withTags(request, view.endpointsOf(key)).map((each) => view.catalogEntry(each)),
        );
      },
    },
    {
      method: "GET",
      pattern: "/v1/catalog/services",
      allow: ["host"],
      async handle(request) {
        await block(parts, request, null);
        return reply(parts, view.services(namespaceOf(request)));
      },
    },
    {
      method: "GET",
      pattern: "/v1/status/leader",
      allow: ["host"],
      handle: () => ({ body: parts.listening() }),
    },
  ];
}

/** The index is read when the answer is made, in the same turn, so that they belong together. */
function reply({ catalog }: RegistryParts, body: unknown): Reply {
  return { body, index: catalog.revision() };
}

async function awaitService(parts: RegistryParts, request: RegistryRequest): Promise<string> {
  const name = request.params["name"] ?? "";
  const key = keyOf({ namespace: namespaceOf(request), name });
  await block(parts, request, key);
  return key;
}

async function block(
  { waiters }: RegistryParts,
  { query, closed }: RegistryRequest,
  topic: string | null,
): Promise<void> {
  for (const name of REFUSED) {
    if (query.has(name)) throw new RegistryError(400, `${name}: not supported`, name);
  }
  const datacenter = query.get("dc") ?? "";
  if (datacenter !== "" && datacenter !== ConsulView.datacenter) {
    throw new RegistryError(400, `No path to datacenter ${JSON.stringify(datacenter)}`, "dc");
  }
  const index = query.get("index") ?? "";
  const wait = query.get("wait") ?? "";
  if (!/^\d{0,15}$/.test(index)) throw new RegistryError(400, "index: must be a number", "index");
  const waitMs = wait === "" ? 0 : parseGoDuration(wait);
  if (waitMs === null) {
    throw new RegistryError(400, 'wait: must be a duration such as "10s"', "wait");
  }
  await waiters.wait(topic, Number(index), waitMs, closed);
}

function namespaceOf({ query }: RegistryRequest): string {
  return query.get("ns") || DEFAULT_NAMESPACE;
}

/** `?tag=`, which may be repeated: an instance must have them all. */
function withTags<T extends { readonly value: { readonly tags: readonly string[] } }>(
  { query }: RegistryRequest,
  found: readonly T[],
): T[] {
  const wanted = query.getAll("tag");
  return found.filter(({ value }) => wanted.every((tag) => value.tags.includes(tag)));
}
