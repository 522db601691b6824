import * as z from "zod";
import type { Backend, MirrorRule, RouteAction } from "../../core/traffic.ts";
import { namespaceName } from "../envelope.ts";
import { formOfKnownService } from "../kubernetes/known-service.ts";
import { differently, honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { portField, textField } from "../value-fields.ts";
import { objectName } from "./fields.ts";
import { isService, kindOf } from "./parents.ts";

export const MAX_BACKENDS = 16;

/** Names a Service (or what is none, and leads nowhere). */
export const referenceFields = {
  group: honoured(z.string().max(253), '`""` (default) with the kind Service').default(""),
  kind: differently(
    textField,
    "`Service` (default); any other, and a Service of type ExternalName, leads nowhere, and a warning says so",
  ).default("Service"),
  namespace: honoured(
    namespaceName,
    "default: the route's own; needs no ReferenceGrant",
  ).optional(),
  name: honoured(objectName),
  port: honoured(portField, "of the Service, which needs one").optional(),
};
const referenceField = z.strictObject(referenceFields);
export type Reference = z.infer<typeof referenceField>;

export const weightField = honoured(
  z.number().int().min(0).max(1_000_000),
  "relative; default 1; 0: none",
).default(1);

/** Where a reference leads; its service is null where it leads nowhere. */
export function targetOf(
  work: Work<unknown>,
  { group, kind, namespace = work.name.namespace, name, port }: Reference,
  at: readonly PropertyKey[],
): Pick<Backend, "service" | "port"> {
  if (!isService(group, kind)) {
    work.warn([...at, "kind"], `${kindOf(group, kind)} leads nowhere: only Services are known`);
    return { service: null };
  }
  if (port === undefined) work.refuse([...at, "port"], "missing: a Service needs a port");
  // Whoever may write a route could reach hosts by it that its callers must not (GEP-1294).
  if (formOfKnownService(work.context, namespace, name) === "external-name") {
    work.warn([...at, "name"], `${namespace}/${name} leads nowhere: it is of type ExternalName`);
    return { service: null };
  }
  return { service: `${namespace}/${name}`, port };
}

export const mirrorField = z
  .strictObject({
    backendRef: referenceField,
    percent: honoured(z.number().int().min(0).max(100), "default: 100").optional(),
    fraction: z
      .strictObject({
        numerator: honoured(z.number().int().min(0)),
        denominator: honoured(z.number().int().min(1)).default(100),
      })
      .refine(({ numerator, denominator }) => numerator <= denominator, {
        message: "numerator must be at most denominator",
      })
      .optional(),
  })
  .refine(({ percent, fraction }) => percent === undefined || fraction === undefined, {
    message: "give percent or fraction, not both",
  });

/** Null where the copies would go nowhere. */
export function mirrorOf(
  work: Work<unknown>,
  { backendRef, percent, fraction }: z.infer<typeof mirrorField>,
  at: readonly PropertyKey[],
): MirrorRule | null {
  const backend = targetOf(work, backendRef, [...at, "backendRef"]);
  if (backend.service === null) return null;
  const share = fraction === undefined ? 100 : (100 * fraction.numerator) / fraction.denominator;
  return { backend, percent: percent ?? share };
}

/**
 * To the backends by weight, and without any to the Service that the route is bound to, as Linkerd has it; what has
 * weights of 0 only is answered with `missingStatus`.
 */
export function forwardTo(
  work: Work<unknown>,
  backends: readonly Backend[],
  missingStatus: number,
  at: readonly PropertyKey[],
): RouteAction {
  const isSent = backends.length === 0 || backends.some(({ weight }) => weight > 0);
  if (isSent) return { kind: "forward", backends };
  const message = `with weights of 0 only what this rule matches is answered ${missingStatus}`;
  work.warn([...at, "backendRefs"], message);
  return { kind: "respond", status: missingStatus, body: "" };
}
