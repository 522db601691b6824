import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import type { Endpoint, Service } from "../../src/core/model.ts";
import type { TrafficPolicy } from "../../src/core/traffic.ts";
import type { TranslatedRecord, Translation } from "../../src/dialects/translator.ts";
import { type Found, RouteSet } from "../../src/proxy/routing/match/route-set.ts";
import { outcomeOf } from "./golden.ts";

interface Refusal {
  readonly refused: readonly { readonly path: string; readonly reason: string }[];
}

/** What becomes of each resource of a text, among the others. */
function outcomesOfText(yaml: string): (Translation | Refusal)[] {
  const resources = parseAllDocuments(yaml)
    .map((document) => document.toJS() as unknown)
    .filter((resource) => resource !== null);
  return resources.map(
    (resource, index) => outcomeOf(resource, resources, index) as Translation | Refusal,
  );
}

function translationsOf(yaml: string): Translation[] {
  return outcomesOfText(yaml).map((outcome) => {
    if ("refused" in outcome) assert.fail(JSON.stringify(outcome.refused));
    return outcome;
  });
}

/** All records of a text, none of whose resources may be refused. */
export function recordsOfText(yaml: string): TranslatedRecord[] {
  return translationsOf(yaml).flatMap(({ records }) => records);
}

export function warningsOf(yaml: string): string[] {
  return translationsOf(yaml).flatMap(({ warnings }) =>
    warnings.map(({ path, message }) => `${path}: ${message}`),
  );
}

/** `path: reason` of everything that is wrong. */
export function refusals(yaml: string): string[] {
  return outcomesOfText(yaml).flatMap((outcome) =>
    "refused" in outcome ? outcome.refused.map(({ path, reason }) => `${path}: ${reason}`) : [],
  );
}

export function servicesOf(yaml: string): Service[] {
  return recordsOfText(yaml).flatMap(({ kind, value }) => (kind === "service" ? [value] : []));
}

export function endpointsOf(yaml: string): Endpoint[] {
  return recordsOfText(yaml).flatMap(({ kind, value }) => (kind === "endpoint" ? [value] : []));
}

export function policiesOf(yaml: string): TrafficPolicy[] {
  return recordsOfText(yaml).flatMap(({ kind, value }) => (kind === "traffic" ? [value] : []));
}

/** The routes for calls of a service, which must all be understood. */
export function routesTo(service: string, yaml: string): RouteSet {
  const tables = recordsOfText(yaml)
    .flatMap(({ kind, value }) => (kind === "route" ? [value] : []))
    .filter(({ services }) => services.includes(service));
  return new RouteSet(tables, (source, reason) => assert.fail(`${source}: ${reason}`));
}

/** Names of the services that so many requests go to, without namespace; `-` for one that leads nowhere. */
export function picks(found: Found | "refuse" | null, count: number): string[] {
  assert.ok(found !== null && found !== "refuse");
  const { action } = found.rule.rule;
  assert.ok(action.kind === "forward");
  return Array.from({ length: count }, () => {
    const service = action.backends[found.rule.pickBackend()]?.service ?? "-";
    return service.slice(service.indexOf("/") + 1);
  });
}

export function counts(names: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const name of names) found[name] = (found[name] ?? 0) + 1;
  return found;
}
