import { CHAIN_NOTE, inChain, ruleForAll, tableOf, targetOf } from "./chain-table.ts";
import { configEntryTranslators } from "./config-entry.ts";
import { serviceRouterKind } from "./router-fields.ts";
import { serviceSplitterKind } from "./splitter-fields.ts";

/** Consul's service-splitter, in both forms. */
export const serviceSplitters = configEntryTranslators(serviceSplitterKind, {
  notes: [
    "A split with another service is split again by the splitter of that one, unless it names a subset.",
    "For HTTP; connections of other protocols go where the resolver says. No `service-defaults` needs to say that the service speaks HTTP: that is found out.",
    CHAIN_NOTE,
  ],
  records(work, entry) {
    const target = targetOf(entry);
    const backends = inChain(work, [...entry.at, "splits"], (chain) => chain.backends(target));
    // The router's table ends with the same.
    if (serviceRouterKind.find(work.context, entry.namespace, entry.name) !== null) return [];
    return [{ kind: "route", value: tableOf(entry, "http", [ruleForAll(backends)]) }];
  },
});
