import { formatPath } from "../../core/schema-issue.ts";
import type { ServiceRef } from "../../core/traffic.ts";

/** Fields by which the dialects name a service, and a subset of it. */
const NAMES = ["host", "name", "service", "Service", "Name", "backend", "hosts"];
const SUBSETS = ["subset", "serviceSubset", "ServiceSubset", "service_subset"];
/** Fields that hold the rules of a route, in their order. */
const RULES = ["http", "tcp", "tls", "rules", "routes", "Routes", "matches", "splits", "Splits"];

type Path = readonly (string | number)[];

/** Where a resource names a service: a field's path, `spec` where no field is found. */
export function placeOfService(content: unknown, ref: ServiceRef): string {
  const names = spellingsOf(ref);
  for (const [object, path] of objectsOf(content, [])) {
    for (const field of NAMES) {
      const value = object.get(field);
      if (typeof value === "string" && names.has(value)) return formatPath([...path, field]);
      if (!Array.isArray(value)) continue;
      const index = value.findIndex((each) => typeof each === "string" && names.has(each));
      if (index !== -1) return formatPath([...path, field, index]);
    }
  }
  return "spec";
}

/** Where it names a subset of that service. */
export function placeOfSubset(content: unknown, ref: ServiceRef, subset: string): string {
  const names = spellingsOf(ref);
  let alone: string | null = null;
  for (const [object, path] of objectsOf(content, [])) {
    const field = SUBSETS.find((each) => object.get(each) === subset);
    if (field === undefined) continue;
    const place = formatPath([...path, field]);
    if (NAMES.some((each) => names.has(String(object.get(each))))) return place;
    alone ??= place;
  }
  return alone ?? placeOfService(content, ref);
}

/** Where it names a port of that service. */
export function placeOfPort(content: unknown, ref: ServiceRef, port: number): string {
  const names = spellingsOf(ref);
  for (const [object, path] of objectsOf(content, [])) {
    if (!NAMES.some((each) => names.has(String(object.get(each))))) continue;
    const value = object.get("port");
    if (value === port) return formatPath([...path, "port"]);
    if (typeof value === "object" && value !== null && "number" in value && value.number === port) {
      return formatPath([...path, "port", "number"]);
    }
  }
  return placeOfService(content, ref);
}

/** Where the subset of this name is defined. */
export function placeOfDefinition(content: unknown, subset: string): string {
  for (const [object, path] of objectsOf(content, [])) {
    if (object.get("name") === subset && path.includes("subsets")) return formatPath(path);
    const subsets = object.get("subsets") ?? object.get("Subsets");
    if (typeof subsets === "object" && subsets !== null && subset in subsets) {
      return formatPath([...path, object.has("subsets") ? "subsets" : "Subsets", subset]);
    }
  }
  return "spec";
}

/** Where the rule of this number stands: in the list of rules that is as long as the translation's. */
export function placeOfRule(content: unknown, index: number, count: number): string {
  for (const [object, path] of objectsOf(content, [])) {
    for (const field of RULES) {
      const value = object.get(field);
      if (Array.isArray(value) && value.length === count)
        return formatPath([...path, field, index]);
    }
  }
  return "spec";
}

function spellingsOf(ref: ServiceRef): Set<string> {
  if (ref.startsWith("host:")) return new Set([ref.slice("host:".length)]);
  const [namespace = "", name = ""] = ref.split("/");
  const long = `${name}.${namespace}.svc`;
  return new Set([name, `${name}.${namespace}`, long, `${long}.cluster.local`, ref]);
}

/** Every mapping in a resource's own fields with its path, outer ones first. */
function* objectsOf(value: unknown, path: Path): Iterable<[Map<string, unknown>, Path]> {
  if (typeof value !== "object" || value === null) return;
  if (Array.isArray(value)) {
    for (const [index, each] of value.entries()) yield* objectsOf(each, [...path, index]);
    return;
  }
  const entries = Object.entries(value);
  // The resource's own name is no reference.
  if (!path.includes("metadata") && path.length > 0) yield [new Map(entries), path];
  else if (path.length === 0 && "Kind" in value) yield [new Map(entries), path];
  for (const [name, each] of entries) yield* objectsOf(each, [...path, name]);
}
