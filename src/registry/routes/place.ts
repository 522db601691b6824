import { assertOwnHost } from "../caller.ts";
import { hostField } from "../fields.ts";
import { parseInput } from "../parse-input.ts";
import type { RegistryParts } from "../parts.ts";
import { RegistryError } from "../registry-error.ts";
import type { RegistryRequest } from "../route.ts";

/**
 * Which host a request speaks for: `?node=`, else `X-Hostmesh-Host`, else the caller's, else the registry's own. Throws
 * 403 where that is not the caller's to speak for.
 */
export function hostOf(
  { query, headers, caller }: RegistryRequest,
  { host }: RegistryParts,
): string {
  const named = query.get("node") ?? headers["x-hostmesh-host"];
  if (named === undefined || named === "") return caller.role === "host" ? caller.host : host;
  if (typeof named !== "string") throw new RegistryError(400, "X-Hostmesh-Host: given twice");
  const wanted = parseInput(hostField, named);
  assertOwnHost(caller, wanted);
  return wanted;
}
