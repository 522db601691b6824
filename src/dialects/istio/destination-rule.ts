import * as z from "zod";
import type { SubsetPolicy, TrafficPolicy } from "../../core/traffic.ts";
import { resourceSchema } from "../envelope.ts";
import { honoured, refused } from "../support.ts";
import { defineTranslator, type Work } from "../translator.ts";
import { subsetName } from "./destination.ts";
import { exportedTo, exportToField } from "./export-to.ts";
import { hostField, serviceRefOf, warnOfHalfName } from "./host.ts";
import { isMeshWide } from "./scope.ts";
import { toSettings, trafficPolicyField } from "./traffic-policy.ts";

const MAX_SUBSETS = 256;

const subsetField = z.strictObject({
  name: honoured(subsetName),
  labels: honoured(
    z.record(z.string().min(1).max(317), z.string().max(512)),
    "labels of pods, `Meta` of registered endpoints; all of them; none: every endpoint",
  ).default({}),
  trafficPolicy: trafficPolicyField.optional(),
});

const specField = z.strictObject({
  host: honoured(
    hostField,
    "`reviews`: of the resource's namespace; `reviews.prod.svc.cluster.local`: of `prod`; others as host names, also with `*.` before",
  ),
  trafficPolicy: trafficPolicyField.optional(),
  subsets: z.array(subsetField).max(MAX_SUBSETS).optional(),
  exportTo: exportToField,
  workloadSelector: refused(
    "settings are kept by namespace of the caller, not by its labels: use exportTo",
  ),
});
const schema = resourceSchema(specField);
type Resource = z.infer<typeof schema>;

/** Istio's DestinationRule. */
export const destinationRule = defineTranslator<Resource>({
  dialect: "Istio",
  group: "networking.istio.io",
  kind: "DestinationRule",
  notes: [
    "Of several for a host that of the caller's namespace counts, then that of the service's, then one of a root namespace; then the oldest. Subsets of several of one namespace are joined.",
    "A subset has no effect until a route names it. What its `trafficPolicy` does not give is inherited; `portLevelSettings` stand in place of the rest, unmerged.",
    "Without `outlierDetection` the daemon's own detector works; Istio has none then.",
    "Where a subset gives `loadBalancer` without `localityLbSetting`, that of the host stays; in Istio it is gone.",
  ],
  forms: [{ versions: ["v1", "v1beta1", "v1alpha3"], schema }],
  records(work) {
    const { host, trafficPolicy, subsets = [], exportTo } = work.resource.spec;
    const { namespace } = work.name;
    warnOfHalfName(work, ["spec", "host"], host);
    const value: TrafficPolicy = {
      source: work.source,
      createdMs: work.context.createdMs,
      service: serviceRefOf(host, namespace),
      namespace,
      root: isMeshWide(work),
      clients: exportedTo(exportTo, namespace),
      ...toSettings(trafficPolicy, work, ["spec", "trafficPolicy"]),
      subsets: toSubsets(subsets, work),
    };
    return [{ kind: "traffic", value }];
  },
});

function toSubsets(
  subsets: readonly z.infer<typeof subsetField>[],
  work: Work<unknown>,
): SubsetPolicy[] {
  const seen = new Set<string>();
  return subsets.map(({ name, labels, trafficPolicy }, index) => {
    const path = ["spec", "subsets", index];
    if (seen.has(name)) work.refuse([...path, "name"], `the subset ${name} is given twice`);
    seen.add(name);
    if (Object.keys(labels).length === 0) work.warn(path, "without labels it is every endpoint");
    if (trafficPolicy === undefined) return { name, labels };
    const { settings, ports } = toSettings(trafficPolicy, work, [...path, "trafficPolicy"]);
    return { name, labels, settings, ...(Object.keys(ports).length > 0 ? { ports } : {}) };
  });
}
