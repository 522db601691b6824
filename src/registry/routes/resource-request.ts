import { keyOfResource } from "../../dialects/translator.ts";
import type { RegistryRequest } from "../route.ts";

/** Path of one resource. */
export const ONE = "/v1/mesh/resources/:group/:kind/:namespace/:name";

/** Key of the resource that the path names. */
export function keyOf(params: RegistryRequest["params"]): string {
  const { group = "", kind = "", namespace = "", name = "" } = params;
  return keyOfResource({ group, kind, namespace, name });
}

/** Who makes the request, as far as it is known. */
export function nameOf({ caller, address }: RegistryRequest): string {
  const role = caller.role === "host" ? `host ${caller.host}` : caller.role;
  return address === "" ? role : `${role} at ${address}`;
}
