import * as z from "zod";
import { envelopeFields } from "../envelope.ts";
import { honoured } from "../support.ts";
import { defineTranslator, type TranslationContext } from "../translator.ts";
import { portField } from "../value-fields.ts";

const early = z.strictObject({ ...envelopeFields, spec: honoured(z.strictObject({})).optional() });
const late = z.strictObject({
  ...envelopeFields,
  spec: z
    .strictObject({
      matches: z
        .strictObject({
          ports: honoured(
            z.array(portField).max(1_024),
            "ports of the workload; none: any",
          ).default([]),
        })
        .optional(),
    })
    .optional(),
});
type Resource = z.infer<typeof early> | z.infer<typeof late>;

const routeTopic = (namespace: string, name: string) => `TCPRoute ${namespace}/${name}`;

/** SMI's TCPRoute: the ports that a TrafficTarget may allow. */
export const tcpRoute = defineTranslator<Resource>({
  dialect: "SMI",
  group: "specs.smi-spec.io",
  kind: "TCPRoute",
  notes: ["Has no effect by itself: TrafficTargets name it, and follow its changes."],
  forms: [
    { versions: ["v1alpha1", "v1alpha2", "v1alpha3"], schema: early },
    { versions: ["v1alpha4"], schema: late },
  ],
  provides: ({ metadata }) => [routeTopic(metadata.namespace, metadata.name)],
});

/** The ports of a route, none for any; null where there is no such route. */
export function portsOfRoute(
  context: TranslationContext,
  namespace: string,
  name: string,
): readonly number[] | null {
  const [found] = context.about(routeTopic(namespace, name));
  if (found === undefined) return null;
  return late.parse(found.content).spec?.matches?.ports ?? [];
}
