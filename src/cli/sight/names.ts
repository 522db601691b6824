import { DEFAULT_NAMESPACE } from "../../core/model.ts";
import { CliError } from "../cli-error.ts";

/**
 * `NAME` in the default namespace, else `NAME.NAMESPACE`, as the proxy's port takes it. What has no namespace
 * (`passthrough`, `unknown`) stays as it is.
 */
export function shortName(key: string): string {
  const slash = key.indexOf("/");
  if (slash === -1) return key;
  const [namespace, name] = [key.slice(0, slash), key.slice(slash + 1)];
  return namespace === DEFAULT_NAMESPACE ? name : `${name}.${namespace}`;
}

/** The key of `NAME`, `NAME.NAMESPACE` or `NAMESPACE/NAME`, where there is no list of names to look in. */
export function nameKey(wanted: string, namespace: string): string {
  if (wanted.includes("/") || wanted === "unknown") return wanted;
  const dot = wanted.lastIndexOf(".");
  if (dot <= 0) return `${namespace}/${wanted}`;
  return `${wanted.slice(dot + 1)}/${wanted.slice(0, dot)}`;
}

/** Is `wanted` (`NAME`, `NAME.NAMESPACE` or `NAMESPACE/NAME`) this name? With a namespace, `NAME` is one of it. */
export function isNamed(key: string, wanted: string, namespace?: string): boolean {
  if (key === wanted || shortName(key) === wanted) return true;
  return namespace !== undefined && key === `${namespace}/${wanted}`;
}

/** Does the key belong to the namespace? Everything does to none. */
export function isWithin(key: string, namespace: string | undefined): boolean {
  return namespace === undefined || key.startsWith(`${namespace}/`);
}

/** The key that is meant. Throws a CliError that names some of those that there are. */
export function findName(
  keys: readonly string[],
  wanted: string,
  what: { readonly kind: string; readonly remedy: string; readonly namespace?: string | undefined },
): string {
  const within = keys.find((key) => key === `${what.namespace}/${wanted}`);
  const found = within ?? keys.find((key) => isNamed(key, wanted));
  if (found !== undefined) return found;
  throw new CliError(`the mesh knows no ${what.kind} ${wanted}`, {
    remedy: keys.length === 0 ? what.remedy : `it knows ${someOf(keys)}`,
  });
}

function someOf(keys: readonly string[]): string {
  const names = keys.slice(0, 10).map(shortName).join(", ");
  return keys.length > 10 ? `${names} and ${keys.length - 10} more` : names;
}
