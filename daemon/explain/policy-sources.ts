import { isDeepStrictEqual } from "node:util";
import type { TrafficPolicy, TrafficSettings } from "../../src/core/traffic.ts";
import type { SaysSo } from "../../src/proxy/explain/explain-rules.ts";
import type { Compiler } from "../compiler.ts";

/** Finds the resources that say what holds for a cluster: those of its service's policies that give a field this value. */
export function policySources({ traffic }: Compiler): SaysSo {
  return ({ service, settings }, field) => {
    const name = field as keyof TrafficSettings;
    const value = settings[name];
    if (value === undefined) return null;
    const policies = traffic.policiesOf({ ...service, meta: {} });
    const saying = policies.filter((policy) =>
      settingsOf(policy).some((one) => isDeepStrictEqual(one[name], value)),
    );
    return saying.length === 0 ? null : [...new Set(saying.map(({ source }) => source))].join(", ");
  };
}

function settingsOf({ settings, ports, subsets }: TrafficPolicy): readonly TrafficSettings[] {
  const nested = subsets.flatMap((subset) => [
    subset.settings ?? {},
    ...Object.values(subset.ports ?? {}),
  ]);
  return [settings, ...Object.values(ports), ...nested];
}
