import { DEFAULT_NAMESPACE } from "../core/model.ts";
import type { ResourceName } from "../dialects/translator.ts";
import { CliError, EXIT } from "./cli-error.ts";
import { resourceKind } from "./resource-kinds.ts";

/** The resource that `KIND/NAME` or `KIND NAME` means. */
export function resourceTarget(
  target: string,
  name: string | undefined,
  namespace: string | undefined,
): ResourceName {
  const slash = target.indexOf("/");
  const [kind, own] =
    slash === -1 ? [target, name] : [target.slice(0, slash), target.slice(slash + 1)];
  if (own === undefined || own === "" || (slash !== -1 && name !== undefined)) {
    throw new CliError("give KIND/NAME", { exitCode: EXIT.usage });
  }
  return { ...resourceKind(kind), namespace: namespace ?? DEFAULT_NAMESPACE, name: own };
}

/** Its path in the registry's API. */
export function resourcePath({ group, kind, namespace, name }: ResourceName): string {
  return `/v1/mesh/resources/${[group, kind, namespace, name].map(encodeURIComponent).join("/")}`;
}
