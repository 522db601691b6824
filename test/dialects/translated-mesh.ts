import assert from "node:assert/strict";
import { parseAllDocuments } from "yaml";
import type { Backend, RouteAction, RouteTable, TrafficPolicy } from "../../src/core/traffic.ts";
import type { RouteRequest, RouteSet } from "../../src/proxy/routing/match/route-set.ts";
import { outcomeOf } from "./golden.ts";
import { policiesOf, recordsOfText, routesTo, warningsOf } from "./translated.ts";

/** Everything that a text means, which must not be refused. */
export class Translated {
  readonly tables: readonly RouteTable[];
  readonly policies: readonly TrafficPolicy[];
  /** `path: message`. */
  readonly warnings: readonly string[];
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
    this.tables = recordsOfText(text).flatMap(({ kind, value }) =>
      kind === "route" ? [value] : [],
    );
    this.policies = policiesOf(text);
    this.warnings = warningsOf(text);
  }

  routesOf(service: string): RouteSet {
    return routesTo(service, this.#text);
  }

  /** Where so many requests to a service go: `namespace/name#subset`, or "" for the service itself. */
  shares(service: string, request: RouteRequest, requests = 10_000): Record<string, number> {
    const routes = this.routesOf(service);
    const shares: Record<string, number> = {};
    for (let count = 0; count < requests; count++) {
      const found = routes.find(request);
      assert.ok(found !== "refuse");
      const name = placeOf(found?.rule.rule.action, found?.rule.pickBackend() ?? -1);
      shares[name] = (shares[name] ?? 0) + 1;
    }
    return shares;
  }
}

function placeOf(action: RouteAction | undefined, index: number): string {
  const backend = action?.kind === "forward" ? action.backends[index] : undefined;
  return backend === undefined ? "" : nameOf(backend);
}

export function nameOf({ service, subset }: Pick<Backend, "service" | "subset">): string {
  return subset === undefined ? String(service) : `${service}#${subset}`;
}

/** What is wrong with the last resource of a text, among the others: the first `path: reason`. */
export function refusalOf(text: string): string {
  const resources = parseAllDocuments(text).map((document) => document.toJS() as unknown);
  const outcome = outcomeOf(resources.at(-1), resources, resources.length - 1) as {
    readonly refused?: readonly { readonly path: string; readonly reason: string }[];
  };
  const [first] = outcome.refused ?? [];
  return first === undefined ? "it is taken" : `${first.path}: ${first.reason}`;
}
