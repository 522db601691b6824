import { isIP } from "node:net";
import { canonicalAddress, formatHostPort } from "../../core/address.ts";
import type { Endpoint, Service } from "../../core/model.ts";
import type { PeerPolicy } from "../../core/policy.ts";
import type { TranslatedValue, Work } from "../translator.ts";
import { type ConfigEntry, configEntryTranslators } from "./config-entry.ts";
import { type Destination, type ServiceDefaults, serviceDefaultsKind } from "./defaults-fields.ts";
import { overrideTopic, trafficOf, upstreamOf } from "./traffic-settings.ts";

/** Consul's service-defaults, in both forms. */
export const serviceDefaults = configEntryTranslators(serviceDefaultsKind, {
  notes: [
    "`upstreamConfig.overrides` hold for all callers of the upstream, not only for those of the entry's service, and a warning says so; of several entries with an override for one upstream the oldest counts.",
    "`rateLimits` are kept where the instances are, for all their callers together.",
    "`destination` makes a service of the entry's name, with the host names among its addresses as further names.",
  ],
  provides: (entry) =>
    (entry.fields.upstreamConfig?.overrides ?? []).map((override) => {
      const { namespace, name } = upstreamOf(entry, override);
      return overrideTopic(namespace, name);
    }),
  records(work, entry) {
    const { destination, mutualTLSMode } = entry.fields;
    const scope = { namespace: entry.namespace, labels: {}, service: entry.name };
    return [
      ...traffic(work, entry),
      ...(mutualTLSMode ? [peerPolicy(work, mutualTLSMode, scope)] : []),
      ...(destination === undefined ? [] : external(work, entry, destination)),
    ];
  },
});

/** Of the entry's own service, and of each upstream with an override. */
function traffic(work: Work<unknown>, entry: ConfigEntry<ServiceDefaults>): TranslatedValue[] {
  const services = new Map([[`${entry.namespace}/${entry.name}`, entry as Named]]);
  const { overrides = [] } = entry.fields.upstreamConfig ?? {};
  for (const [index, override] of overrides.entries()) {
    const upstream = upstreamOf(entry, override);
    const key = `${upstream.namespace}/${upstream.name}`;
    const path = [...entry.at, "upstreamConfig", "overrides", index];
    const about = work.context.about(overrideTopic(upstream.namespace, upstream.name));
    const isSecond = overrides.slice(0, index).some((each) => {
      const other = upstreamOf(entry, each);
      return other.namespace === upstream.namespace && other.name === upstream.name;
    });
    if (isSecond) work.refuse([...path, "name"], `a second override for ${key}`);
    const [oldest] = about;
    if (oldest !== undefined && oldest.key !== work.key) {
      work.warn(path, `no effect: ${oldest.key} is older and overrides ${key} too`);
    } else {
      work.warn(path, `holds for all callers of ${key}, not only for those of ${entry.name}`);
    }
    services.set(key, upstream);
  }
  return [...services.values()].flatMap(({ namespace, name }): TranslatedValue[] => {
    const value = trafficOf(work, namespace, name);
    return value === null ? [] : [{ kind: "traffic", value }];
  });
}

interface Named {
  readonly namespace: string;
  readonly name: string;
}

/** Whether callers must prove who they are. */
export function peerPolicy(
  work: Work<unknown>,
  mode: "strict" | "permissive",
  scope: PeerPolicy["scope"],
): TranslatedValue {
  const { createdMs } = work.context;
  return {
    kind: "policy",
    value: { kind: "peer", source: work.source, createdMs, scope, mode, ports: {} },
  };
}

/** A service outside of the mesh. */
function external(
  work: Work<unknown>,
  { namespace, name }: ConfigEntry<unknown>,
  { addresses, port }: Destination,
): TranslatedValue[] {
  const names = addresses.filter((address) => isIP(address) === 0);
  const service: Service = {
    ...{ name, namespace, addresses: [] },
    ports: [{ name: "", port }],
    balancer: work.context.balancer,
    meta: {},
    ...(names.length === 0 ? {} : { hosts: names.map((host) => host.toLowerCase()) }),
  };
  const endpoints = addresses.map((text): TranslatedValue => {
    const isName = isIP(text) === 0;
    const address = isName ? text.toLowerCase() : canonicalAddress(text);
    const value: Endpoint = {
      id: `consul/${namespace}.${name}.${formatHostPort(address, port)}`,
      ...{ service: name, namespace, address, port, portName: "" },
      ...{ weight: 1, zone: "", host: "", meta: {}, health: "passing" },
      ...(isName ? { resolve: "dns" as const } : {}),
    };
    return { kind: "endpoint", value };
  });
  return [{ kind: "service", value: service }, ...endpoints];
}
