import * as z from "zod";
import type { MtlsMode } from "../../core/policy.ts";
import { resourceSchema } from "../envelope.ts";
import { honoured, refused } from "../support.ts";
import { defineTranslator } from "../translator.ts";
import { isMeshWide, scopesOf, selectorField } from "./scope.ts";

const modeField = z.enum(["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]);
const mtlsField = z.strictObject({ mode: honoured(modeField).default("UNSET") });
const portName = z
  .string()
  .refine((text) => /^[1-9]\d{0,4}$/.test(text) && Number(text) <= 65_535, {
    message: "must be a port, 1 to 65535",
  });

const specField = z.strictObject({
  selector: selectorField.optional(),
  targetRefs: refused("Istio has no targetRefs in a PeerAuthentication: use selector"),
  mtls: mtlsField.optional(),
  portLevelMtls: z.record(portName, mtlsField).optional(),
});

const schema = resourceSchema(specField.optional());

/** Istio's PeerAuthentication. */
export const peerAuthentication = defineTranslator<z.infer<typeof schema>>({
  dialect: "Istio",
  group: "security.istio.io",
  kind: "PeerAuthentication",
  notes: [
    "What nobody says is PERMISSIVE. The narrowest scope counts, and of several the oldest.",
    "`portLevelMtls` needs a selector, and means ports of the workload.",
    "With a selector in a root namespace it has no effect, as in Istio, and a warning says so.",
  ],
  forms: [{ versions: ["v1", "v1beta1"], schema }],
  policies(work) {
    const { spec } = work.resource;
    const [scope] = scopesOf(work, spec);
    if (scope === undefined) return [];
    const selects = Object.keys(scope.labels).length > 0;
    const ports = Object.entries(spec?.portLevelMtls ?? {});
    if (spec?.portLevelMtls !== undefined && ports.length === 0) {
      work.refuse(["spec", "portLevelMtls"], "must not be empty: leave the field out");
    }
    if (ports.length > 0 && !selects) {
      work.refuse(["spec", "portLevelMtls"], "needs a selector with labels");
    }
    if (selects && isMeshWide(work)) {
      const message = "a PeerAuthentication with a selector has no effect in a root namespace";
      work.warn(["spec", "selector"], message);
      return [];
    }
    return [
      {
        kind: "peer",
        source: work.source,
        createdMs: work.context.createdMs,
        scope,
        mode: toMode(spec?.mtls?.mode),
        ports: Object.fromEntries(ports.map(([port, { mode }]) => [port, toMode(mode)])),
      },
    ];
  },
});

function toMode(mode: z.infer<typeof modeField> = "UNSET"): MtlsMode {
  return mode.toLowerCase() as Lowercase<typeof mode>;
}
