import { isRecord } from "../api/objects.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Careful reading of what an API server sends: what is not of the expected form is taken for absent. */
export function recordAt(value: unknown, name: string): Fields {
  const found = isRecord(value) ? value[name] : undefined;
  return isRecord(found) ? found : {};
}

export function listAt(value: unknown, name: string): readonly unknown[] {
  const found = isRecord(value) ? value[name] : undefined;
  return Array.isArray(found) ? found : [];
}

export function textAt(value: unknown, name: string): string {
  const found = isRecord(value) ? value[name] : undefined;
  return typeof found === "string" ? found : "";
}

/** The fields that are there, and not null, which in Kubernetes is the same as not to be there. */
export function present(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  );
}

/** These fields of a value, as far as they are there. */
export function pick(value: unknown, names: readonly string[]): Record<string, unknown> {
  return isRecord(value)
    ? present(Object.fromEntries(names.map((name) => [name, value[name]])))
    : {};
}
