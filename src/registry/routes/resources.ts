import { flatten } from "../../dialects/translate.ts";
import type { TranslatedKind } from "../../dialects/translator.ts";
import {
  type AppliedResources,
  applyResources,
  candidatesOf,
  type ResourceOutcome,
} from "../apply-resources.ts";
import type { Catalog } from "../catalog.ts";
import { Draft } from "../draft.ts";
import type { RegistryParts } from "../parts.ts";
import { refreshDependants, removeResource } from "../plan-resource.ts";
import type { StoredRecord } from "../records.ts";
import { RegistryError } from "../registry-error.ts";
import type { RegistryRequest, Reply, Route } from "../route.ts";
import { keyOf, nameOf, ONE } from "./resource-request.ts";

const BODY_BYTES = 8_388_608;
/** Resources in one request: they are planned in one turn of the event loop. */
const MAX_RESOURCES = 1_000;

/** `/v1/mesh/resources`: resources of Istio, SMI and Consul, as they were written. */
export function resourceRoutes(parts: RegistryParts): Route[] {
  const { catalog, writer, wall } = parts;
  const settings = { ...parts.resources, ...parts.settings };
  return [
    {
      method: "POST",
      pattern: "/v1/mesh/resources",
      writesState: true,
      bodyBytes: BODY_BYTES,
      async handle(request) {
        const candidates = candidatesOf(resourcesOf(request));
        const change = { atMs: wall.now(), by: nameOf(request) };
        const isAtomic = request.query.get("atomic") === "true";
        const { result, revision } = await writer.run((draft) => {
          const outcomes = applyResources(draft, candidates, settings, change);
          if (isAtomic) refuseAny(outcomes.results);
          return outcomes;
        });
        return answer(result, revision);
      },
    },
    {
      method: "POST",
      pattern: "/v1/mesh/resources/validate",
      bodyBytes: BODY_BYTES,
      handle(request) {
        // Planned like the real thing, against what is there now; the draft is dropped.
        const candidates = candidatesOf(resourcesOf(request));
        const change = { atMs: wall.now(), by: nameOf(request) };
        const outcomes = applyResources(new Draft(catalog), candidates, settings, change);
        return answer(outcomes, catalog.revision());
      },
    },
    {
      method: "GET",
      pattern: "/v1/mesh/resources",
      handle: (request) => ({ items: list(catalog.all("resource"), request.query) }),
    },
    {
      method: "GET",
      pattern: ONE,
      handle({ params }) {
        const record = catalog.record("resource", keyOf(params));
        if (record === undefined) {
          throw new RegistryError(404, `there is no resource ${keyOf(params)}`);
        }
        const translation = record.value.records.map(({ kind, key }) => ({
          ...{ kind, key },
          value: meaningOf(catalog, kind, key),
        }));
        return { body: { ...show(record), translation }, index: record.revision };
      },
    },
    {
      method: "DELETE",
      pattern: ONE,
      writesState: true,
      async handle(request) {
        const key = keyOf(request.params);
        const change = { atMs: wall.now(), by: nameOf(request) };
        const { result, revision } = await writer.run((draft) => {
          const topics = removeResource(draft, key, settings, change);
          const affected = topics === null ? [] : refreshDependants(draft, topics, settings);
          return { removed: topics !== null, affected };
        });
        return { body: { key, ...result }, index: revision };
      },
    },
  ];
}

function resourcesOf(request: RegistryRequest): readonly unknown[] {
  const resources = flatten(request.json());
  if (resources.length === 0) throw new RegistryError(400, "no resource is given");
  if (resources.length <= MAX_RESOURCES) return resources;
  throw new RegistryError(400, `at most ${MAX_RESOURCES} resources are taken in one request`);
}

/** Throws for the first that is refused, so that nothing of the request is written. */
function refuseAny(outcomes: readonly ResourceOutcome[]): void {
  for (const [index, { key, errors }] of outcomes.entries()) {
    const [issue] = errors;
    if (issue === undefined) continue;
    const { path, reason } = issue;
    const at = key ?? `resources[${index}]`;
    throw new RegistryError(400, `${at}: ${path === "" ? reason : `${path}: ${reason}`}`, path);
  }
}

/** 400 where nothing was taken, so that whoever looks at the status alone is not deceived. */
function answer({ results, affected }: AppliedResources, revision: number): Reply {
  const refused = results.filter(({ result }) => result === "refused");
  const [first] = refused.flatMap(({ errors }) => errors);
  const skipped = results.filter(({ result }) => result === "skipped").length;
  const body = { revision, refused: refused.length, skipped, results, affected };
  if (refused.length < results.length || first === undefined) return { body, index: revision };
  const { path, reason } = first;
  const error = path === "" ? reason : `${path}: ${reason}`;
  return { status: 400, body: { error, path, ...body }, index: revision };
}

function* list(
  records: readonly StoredRecord<"resource">[],
  query: URLSearchParams,
): Iterable<unknown> {
  for (const record of records) {
    const { group, kind, namespace, name } = record.value;
    const wanted = Object.entries({ group, kind, namespace, name }).every(
      ([field, value]) => (query.get(field) ?? value) === value,
    );
    if (wanted) yield show(record);
  }
}

function show({ key, revision, value }: StoredRecord<"resource">) {
  const { provides: _provides, needs, ...shown } = value;
  return { key, revision, ...shown, dependsOn: needs };
}

/** What daemons are told of a record. */
function meaningOf(catalog: Catalog, kind: TranslatedKind, key: string): unknown {
  if (kind === "service") return catalog.get(kind, key)?.service;
  if (kind === "endpoint") return catalog.get(kind, key)?.endpoint;
  return catalog.get(kind, key);
}
