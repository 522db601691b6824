import type { RouteTable } from "../../core/traffic.ts";
import type { TranslatedValue, Work } from "../translator.ts";
import { CHAIN_NOTE, inChain, isPlain, ruleForAll, tableOf, targetOf } from "./chain-table.ts";
import { type ConfigEntry, configEntryTranslators } from "./config-entry.ts";
import { type ResolverFields, serviceResolverKind } from "./resolver-fields.ts";
import { serviceRouterKind } from "./router-fields.ts";
import { serviceSplitterKind } from "./splitter-fields.ts";
import { trafficOf } from "./traffic-settings.ts";

/** Consul's service-resolver, in both forms. */
export const serviceResolvers = configEntryTranslators(serviceResolverKind, {
  notes: [
    "A subset's filter asks for labels, which are the `Meta` of the instances.",
    "A failover is used while the place before it has no healthy endpoint; the failovers of its targets are not followed, as in Consul.",
    "Of a service that is redirected to another, that one's own resolver says how it is called.",
    "A subset that no resolver defines has no endpoints, and a warning says so: requests to it get 503.",
    CHAIN_NOTE,
  ],
  records(work, entry) {
    const traffic = trafficOf(work, entry.namespace, entry.name);
    warnOfHashes(work, entry);
    return [
      ...tables(work, entry).map((value): TranslatedValue => ({ kind: "route", value })),
      ...(traffic === null ? [] : [{ kind: "traffic" as const, value: traffic }]),
    ];
  },
});

/** One for HTTP, unless a router or splitter has that, and one for all else. */
function tables(work: Work<unknown>, entry: ConfigEntry<ResolverFields>): RouteTable[] {
  const target = targetOf(entry);
  const { redirect } = entry.fields;
  const path = [...entry.at, redirect === undefined ? "failover" : "redirect"];
  const place = inChain(work, path, (chain) => chain.resolved(target));
  const backends = [{ ...place, weight: 1 }];
  if (isPlain([place], target)) return [];
  const { namespace, name } = entry;
  const above = [serviceRouterKind, serviceSplitterKind].map((kind) =>
    kind.find(work.context, namespace, name),
  );
  const isOwn = above.every((found) => found === null);
  const rules = [ruleForAll(backends)];
  return [...(isOwn ? [tableOf(entry, "http", rules)] : []), tableOf(entry, "tcp", rules)];
}

function warnOfHashes(work: Work<unknown>, { fields, at }: ConfigEntry<ResolverFields>): void {
  const more = fields.loadBalancer?.hashPolicies?.slice(1) ?? [];
  for (const index of more.keys()) {
    const path = [...at, "loadBalancer", "hashPolicies", index + 1];
    work.warn(path, "no effect: the first hash policy is used");
  }
}
