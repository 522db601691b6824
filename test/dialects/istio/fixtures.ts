import assert from "node:assert/strict";
import type { Endpoint, Service } from "../../../src/core/model.ts";
import type {
  ClientScope,
  RouteRule,
  RouteTable,
  ServiceRef,
  TrafficPolicy,
} from "../../../src/core/traffic.ts";
import type { TranslatedRecord, Warning } from "../../../src/dialects/translator.ts";
import { outcomeOf } from "../golden.ts";

interface Named {
  readonly name?: string;
  readonly namespace?: string;
  readonly version?: string;
}

/** A resource of networking.istio.io; by itself `default/it`. */
export function resource(
  kind: string,
  spec: object,
  { name = "it", namespace = "default", version = "v1" }: Named = {},
): object {
  const apiVersion = `networking.istio.io/${version}`;
  return { apiVersion, kind, metadata: { name, namespace }, spec };
}

export interface Outcome {
  readonly records: readonly TranslatedRecord[];
  readonly warnings: readonly Warning[];
  readonly refused?: readonly { readonly path: string; readonly reason: string }[];
}

/** What becomes of a resource beside others. */
export function outcome(of: object, ...beside: readonly object[]): Outcome {
  return outcomeOf(of, [of, ...beside]) as Outcome;
}

/** `path: reason` of every refused field; none: it was taken. */
export function refusals(of: object, ...beside: readonly object[]): string[] {
  const { refused = [] } = outcome(of, ...beside);
  return refused.map(({ path, reason }) => `${path}: ${reason}`);
}

/** Paths of the warnings of a resource that is taken. */
export function warnedPaths(of: object, ...beside: readonly object[]): string[] {
  return taken(of, ...beside).warnings.map(({ path }) => path);
}

export function taken(of: object, ...beside: readonly object[]): Outcome {
  const found = outcome(of, ...beside);
  assert.deepEqual(found.refused ?? [], []);
  return found;
}

type Kind = TranslatedRecord["kind"];
export interface Values {
  route: RouteTable;
  traffic: TrafficPolicy;
  scope: ClientScope;
  service: Service;
  endpoint: Endpoint;
}

/** The records of one kind. */
export function valuesOf<K extends keyof Values>(
  kind: K & Kind,
  of: object,
  ...beside: readonly object[]
): Values[K][] {
  return taken(of, ...beside).records.flatMap((record) =>
    record.kind === kind ? [record.value as Values[K]] : [],
  );
}

/** The only record of a kind. */
export function onlyOf<K extends keyof Values>(
  kind: K & Kind,
  of: object,
  ...beside: readonly object[]
): Values[K] {
  const [first, ...others] = valuesOf(kind, of, ...beside);
  assert.equal(others.length, 0);
  assert.ok(first);
  return first;
}

/** A VirtualService for `reviews` with these routes of HTTP. */
export function httpService(...http: readonly object[]): object {
  return resource("VirtualService", { hosts: ["reviews"], http });
}

/** The only rule that a route becomes. */
export function ruleOf(route: object): RouteRule {
  const [rule, ...others] = onlyOf("route", httpService(route)).rules;
  assert.equal(others.length, 0);
  assert.ok(rule);
  return rule;
}

export const toReviews = [{ destination: { host: "reviews" } }];

/** Service, subset and weight of each backend. */
export function shares(rule: RouteRule | undefined): [ServiceRef | null, string, number][] {
  assert.equal(rule?.action.kind, "forward");
  return rule.action.backends.map(({ service, subset = "", weight }) => [service, subset, weight]);
}
