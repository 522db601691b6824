import * as z from "zod";
import type { AppProtocol } from "../../core/model.ts";
import { basePolicy } from "../base-policy.ts";
import { ineffective } from "../support.ts";
import type { TranslatedValue, Work } from "../translator.ts";
import { configEntryKind, configEntryTranslators } from "./config-entry.ts";
import { commonDefaults, protocolField } from "./defaults-fields.ts";
import { peerPolicy } from "./service-defaults.ts";

const GLOBAL = "global";
const FOR_ALL =
  "what holds for all services are the settings of the daemon (docs/configuration.md), or a DestinationRule for the host *";

const proxyDefaultsKind = configEntryKind({
  kind: "proxy-defaults",
  resourceKind: "ProxyDefaults",
  fields: {
    config: z.looseObject({ protocol: protocolField }).optional(),
    ...commonDefaults,
    accessLogs: ineffective(z.unknown(), "the daemon's settings say what is logged"),
    failoverPolicy: ineffective(z.unknown(), "targets are tried as they are listed"),
    prioritizeByLocality: ineffective(z.unknown(), FOR_ALL),
  },
});

/** Consul's proxy-defaults, of which there is one. */
export const proxyDefaults = configEntryTranslators(proxyDefaultsKind, {
  notes: [
    "Its name is `global`.",
    "`mutualTLSMode` is for the whole mesh, whatever the namespace of the entry.",
    "Of `config` only the protocol counts; anything else there has no effect, with a warning.",
  ],
  records(work, entry) {
    if (entry.name !== GLOBAL) {
      const path = entry.at.length === 0 ? ["name"] : ["metadata", "name"];
      work.refuse(path, `must be ${GLOBAL}`);
    }
    const { mutualTLSMode, config: { protocol, ...others } = {} } = entry.fields;
    for (const name of Object.keys(others)) {
      work.warn([...entry.at, "config", name], `no effect: ${FOR_ALL}`);
    }
    const peers = mutualTLSMode
      ? [peerPolicy(work, mutualTLSMode, { namespace: null, labels: {} })]
      : [];
    return protocol === undefined ? peers : [...peers, protocolOfAll(work, entry, protocol)];
  },
});

/** Beneath what anybody says of one service. */
function protocolOfAll(
  work: Work<unknown>,
  { namespace }: { readonly namespace: string },
  protocol: AppProtocol,
): TranslatedValue {
  const value = basePolicy(work, { service: "host:*", namespace, settings: { protocol } });
  return { kind: "traffic", value };
}
