import { RegistryError } from "./registry-error.ts";

/**
 * Consul takes `ServiceName`, `service_name` and `servicename` for the same field. Renames the keys of an
 * object to the given spelling. Throws 400 for a field that Consul does not have, and for one given twice.
 */
export function canonicalKeys(input: unknown, names: readonly string[], path: string): unknown {
  if (typeof input !== "object" || input === null || Array.isArray(input)) return input;
  const spelling = new Map(names.map((name) => [squash(name), name]));
  const result = new Map<string, unknown>();
  for (const [key, value] of Object.entries(input)) {
    const name = spelling.get(squash(key));
    const where = path === "" ? key : `${path}.${key}`;
    if (name === undefined) throw new RegistryError(400, `${where}: unknown field`, where);
    if (result.has(name)) throw new RegistryError(400, `${where}: given twice`, where);
    result.set(name, value);
  }
  return Object.fromEntries(result);
}

function squash(name: string): string {
  return name.replaceAll("_", "").toLowerCase();
}
