import { hostField } from "../fields.ts";
import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import { RegistryError } from "../registry-error.ts";
import type { RegistryRequest } from "../route.ts";

/** Which host a request speaks for: `?node=`, else `X-Hostmesh-Host`, else the registry's own. */
export function hostOf({ query, headers }: RegistryRequest, { host }: RegistryParts): string {
  const named = query.get("node") ?? headers["x-hostmesh-host"];
  if (named === undefined || named === "") return host;
  if (typeof named !== "string") throw new RegistryError(400, "X-Hostmesh-Host: given twice");
  return parseInput(hostField, named);
}
