import * as z from "zod";
import type { ServiceRef } from "../../core/traffic.ts";
import { honoured } from "../support.ts";
import type { Work } from "../translator.ts";
import { portField } from "../value-fields.ts";
import { exactHostField, serviceRefOf, warnOfHalfName } from "./host.ts";

export const subsetName = z
  .string()
  .regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/, "must be the name of a subset");

/** Istio's Destination. */
export const destinationField = z.strictObject({
  host: honoured(
    exactHostField,
    "`reviews`: of the resource's namespace; `reviews.prod.svc.cluster.local`: of `prod`; else a host name",
  ),
  subset: honoured(subsetName, "as a DestinationRule defines it; one unknown gets 503").optional(),
  port: z
    .strictObject({ number: honoured(portField, "default: the port that was called") })
    .optional(),
});

export type Destination = z.infer<typeof destinationField>;

export interface DestinationRef {
  readonly service: ServiceRef;
  readonly subset?: string;
  readonly port?: number;
}

/** Where a destination leads, seen from a namespace. */
export function refOf({ host, subset, port }: Destination, namespace: string): DestinationRef {
  return {
    service: serviceRefOf(host, namespace),
    ...(subset === undefined ? {} : { subset }),
    ...(port === undefined ? {} : { port: port.number }),
  };
}

/** Weights of destinations must leave somewhere to go. */
export function checkWeights(
  work: Work<unknown>,
  path: readonly PropertyKey[],
  route: readonly { readonly weight?: number | undefined }[],
): void {
  if (route.length < 2) return;
  if (route.every(({ weight = 0 }) => weight === 0)) {
    work.refuse(path, "the weights are all 0: nothing would be routed");
  }
  for (const [index, { weight }] of route.entries()) {
    if (weight === undefined) {
      work.warn([...path, index], "without a weight beside others it gets nothing");
    }
  }
}

export function warnOfDestination(
  work: Work<unknown>,
  path: readonly PropertyKey[],
  { host }: Destination,
): void {
  warnOfHalfName(work, [...path, "host"], host);
}
