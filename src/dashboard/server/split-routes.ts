import { stringify } from "yaml";
import * as z from "zod";
import { applyResources, candidatesOf } from "../../registry/apply-resources.ts";
import type { Draft } from "../../registry/draft.ts";
import type { Log } from "../../registry/log.ts";
import { parseInput } from "../../registry/parse-input.ts";
import { RegistryError } from "../../registry/registry-error.ts";
import type { DashboardReply, DashboardRequest, DashboardRoute } from "./dashboard-route.ts";
import type { MeshParts } from "./mesh-parts.ts";
import { type FoundSplit, findSplit } from "./split/find-split.ts";
import type { Content, WeightedBackend } from "./split/weighted-list.ts";

const BODY_BYTES = 65_536;
const SERVICE = "/api/services/:namespace/:name";

const backendsField = z
  .array(z.strictObject({ name: z.string().max(600), weight: z.number().min(0).max(1_000_000) }))
  .min(1)
  .max(128)
  .refine((backends) => backends.some(({ weight }) => weight > 0), "all weights are 0");
const writeBody = z.strictObject({
  backends: backendsField,
  /** As GET gave it. */
  revision: z.number().int().min(0),
});
const previewBody = z.strictObject({
  service: z.string().regex(/^[^/]+\/[^/]+$/, "namespace/name"),
  backends: backendsField,
});

/** The weights by which a service's requests are shared, in the resource that holds them. */
export function splitRoutes(parts: MeshParts, log: Log): DashboardRoute[] {
  const { catalog, source } = parts;
  return [
    {
      method: "GET",
      pattern: `${SERVICE}/split`,
      needs: "viewer",
      handle: ({ params }) => ({ body: show(parts, nameOf(params)) }),
    },
    {
      method: "POST",
      pattern: "/api/split-preview",
      needs: "viewer",
      bodyBytes: BODY_BYTES,
      handle(request) {
        const { service, backends } = parseInput(previewBody, request.json());
        const [namespace = "", name = ""] = service.split("/");
        const split = required(findSplit(catalog, namespace, name));
        const { group: _, ...resource } = split.resource;
        return { body: { resource, yaml: toYaml(weighted(split, backends)) } };
      },
    },
    {
      method: "PUT",
      pattern: `${SERVICE}/split`,
      needs: "editor",
      bodyBytes: BODY_BYTES,
      handle(request) {
        if (source !== null) {
          throw new RegistryError(409, `this registry reads ${source.place}`);
        }
        return write(parts, log, request);
      },
    },
  ];
}

function nameOf({ namespace = "", name = "" }: DashboardRequest["params"]) {
  return { namespace, name };
}

function show(
  { catalog, source }: MeshParts,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): unknown {
  const split = findSplit(catalog, namespace, name);
  if (typeof split === "string") {
    return { resource: null, reason: split, backends: [], yaml: "", writable: false };
  }
  const { resource, revision, list, because } = split;
  const { group, kind, namespace: of, name: called } = resource;
  return {
    resource: { group, kind, namespace: of, name: called },
    // A reason says why nothing can be written, a note what will be.
    ...(source === null ? {} : { reason: `this registry reads ${source.place}` }),
    ...(because === "" ? {} : { note: because }),
    ...{ revision, backends: list.backends, writable: source === null },
    yaml: toYaml(list.withWeights(list.backends.map(({ weight }) => weight))),
  };
}

/** Through the registry's own way of applying: it is checked, kept in the history, and can be rolled back. */
async function write(
  { catalog, writer, settings, wall }: MeshParts,
  log: Log,
  request: DashboardRequest,
): Promise<DashboardReply> {
  const { namespace, name } = nameOf(request.params);
  const { backends, revision } = parseInput(writeBody, request.json());
  const split = required(findSplit(catalog, namespace, name));
  const content = weighted(split, backends);
  const { visitor, address } = request;
  const user = visitor.user === "" ? "operator" : visitor.user;
  const change = { atMs: wall.now(), by: `${user} at ${address}, dashboard` };
  const candidates = candidatesOf([content]);
  const { result: generation } = await writer.run((draft) => {
    refuseOutdated(draft, split, revision);
    const { results } = applyResources(draft, candidates, settings, change);
    const [issue] = results.flatMap(({ errors }) => errors);
    if (issue !== undefined) {
      const { path, reason } = issue;
      throw new RegistryError(400, path === "" ? reason : `${path}: ${reason}`, path);
    }
    return draft.get("resource", split.key)?.generation ?? 0;
  });
  const { group, kind, namespace: of, name: called } = split.resource;
  log.info("dashboard change", {
    ...{ user, role: visitor.role, from: address, what: "traffic split" },
    ...{ resource: split.key, generation, weights: describe(backends) },
  });
  const resource = { group, kind, namespace: of, name: called };
  return { body: { resource, revision: generation, yaml: toYaml(content), applied: true } };
}

/** Throws 409 where the resource is not as its author has seen it. */
function refuseOutdated(draft: Draft, { key, revision }: FoundSplit, seen: number): void {
  const present = draft.get("resource", key)?.generation ?? 0;
  if (present === seen && present === revision) return;
  throw new RegistryError(409, `${key} was changed meanwhile: it is at revision ${present}`);
}

function required(split: FoundSplit | string): FoundSplit {
  if (typeof split === "string") throw new RegistryError(409, split);
  return split;
}

/** Throws 409 where the backends are not those of the resource. */
function weighted({ list }: FoundSplit, backends: readonly WeightedBackend[]): Content {
  const given = new Map(backends.map(({ name, weight }) => [name, weight]));
  const isSame = given.size === list.backends.length && given.size === backends.length;
  if (!isSame || !list.backends.every(({ name }) => given.has(name))) {
    const names = list.backends.map(({ name }) => name).join(", ");
    throw new RegistryError(409, `the backends are ${names}`, "backends");
  }
  return list.withWeights(list.backends.map(({ name }) => given.get(name) ?? 0));
}

function describe(backends: readonly WeightedBackend[]): string {
  return backends.map(({ name, weight }) => `${name}=${weight}`).join(" ");
}

function toYaml(content: Content): string {
  return stringify(content, { lineWidth: 0 });
}
