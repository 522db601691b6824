import * as z from "zod";
import { ineffective } from "../support.ts";
import { configEntryKind, configEntryTranslators } from "./config-entry.ts";
import { commonDefaults } from "./defaults-fields.ts";
import { peerPolicy } from "./service-defaults.ts";

const GLOBAL = "global";
const FOR_ALL =
  "what holds for all services are the settings of the daemon (docs/configuration.md), or a DestinationRule for the host *";

const proxyDefaultsKind = configEntryKind({
  kind: "proxy-defaults",
  resourceKind: "ProxyDefaults",
  fields: {
    config: ineffective(z.record(z.string(), z.unknown()), FOR_ALL),
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
    "The protocol of services, which Consul wants to know from `config`, is found out from the first bytes of a connection.",
  ],
  records(work, entry) {
    if (entry.name !== GLOBAL) {
      const path = entry.at.length === 0 ? ["name"] : ["metadata", "name"];
      work.refuse(path, `must be ${GLOBAL}`);
    }
    const { mutualTLSMode } = entry.fields;
    return mutualTLSMode ? [peerPolicy(work, mutualTLSMode, { namespace: null, labels: {} })] : [];
  },
});
