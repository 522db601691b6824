import * as z from "zod";
import type { PolicyScope } from "../../core/policy.ts";
import { differently, honoured, refused } from "../support.ts";
import type { Work } from "../translator.ts";
import { textField } from "../value-fields.ts";

const labelText = z
  .string()
  .max(317)
  .refine((text) => !text.includes("*"), { message: "labels match exactly: * is not taken" });

const noWaypoint =
  "policies are enforced at the workload's own host, by selector or for a Service: there are no waypoints and no gateways yet";

export const selectorField = z.strictObject({
  matchLabels: honoured(z.record(labelText.min(1), labelText)).optional(),
});

const targetRef = z.strictObject({
  group: differently(
    z.literal(["", "core"], { error: noWaypoint }),
    'only `""` and `core`, the group of Service',
  ).default(""),
  kind: differently(z.literal("Service", { error: noWaypoint }), `only \`Service\`: ${noWaypoint}`),
  name: honoured(textField, "the service that the workload serves"),
  namespace: refused("a policy targets services of its own namespace"),
  sectionName: refused("a policy targets whole services"),
});

/** The fields that say which workloads a policy is for. */
export const scopeFields = {
  selector: selectorField.optional(),
  targetRef: refused("use targetRefs"),
  targetRefs: z.array(targetRef).min(1).max(16).optional(),
};

interface ScopeSpec {
  readonly selector?: z.infer<typeof selectorField> | undefined;
  readonly targetRefs?: readonly { readonly name: string }[] | undefined;
}

/** Is the policy in a namespace whose policies are for the whole mesh? */
export function isMeshWide({ name, context }: Work<unknown>): boolean {
  return context.rootNamespaces.includes(name.namespace);
}

/** The scopes of a policy: one, or one for each Service that it targets. */
export function scopesOf(work: Work<unknown>, spec: ScopeSpec | undefined): PolicyScope[] {
  const { namespace } = work.name;
  const { selector, targetRefs } = spec ?? {};
  if (targetRefs !== undefined) {
    if (selector !== undefined) {
      work.refuse(["spec", "targetRefs"], "give either selector or targetRefs");
    }
    return targetRefs.map(({ name: service }) => ({ namespace, labels: {}, service }));
  }
  const labels = selector?.matchLabels ?? {};
  if (selector !== undefined && Object.keys(labels).length === 0) {
    work.warn(["spec", "selector"], "without labels it selects every workload");
  }
  return [{ namespace: isMeshWide(work) ? null : namespace, labels }];
}
