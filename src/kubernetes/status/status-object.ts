import { groupVersionOf } from "../../dialects/envelope.ts";
import { keyOfResource } from "../../dialects/translator.ts";
import type { KubeObject } from "../api/objects.ts";

/** What is kept of an object whose status is ours to write. */
export interface StatusObject {
  /** As the registry's: `group/Kind/namespace/name`. */
  readonly key: string;
  readonly apiVersion: string;
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
  readonly resourceVersion: string;
  readonly spec: unknown;
  readonly status: unknown;
}

export function statusObjectOf({ apiVersion, kind, metadata, ...rest }: KubeObject): StatusObject {
  const { group } = groupVersionOf(apiVersion);
  const { namespace = "", name, uid = "", generation = 0, resourceVersion = "" } = metadata;
  return {
    key: keyOfResource({ group, kind, namespace, name }),
    ...{ apiVersion, group, kind, namespace, name, uid, generation, resourceVersion },
    ...{ spec: rest["spec"], status: rest["status"] },
  };
}

/** Is this state of an object older than that one? Versions of one kind are integers that rise (KEP-5504). */
export function isOlder(one: StatusObject, other: StatusObject): boolean {
  const [a, b] = [one.resourceVersion, other.resourceVersion];
  if (one.uid !== other.uid || !/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return BigInt(a) < BigInt(b);
}
