import { labels } from "./objects/names.ts";
import { type InstallObject, resolveManifests } from "./resolve.ts";
import { NAMESPACE_PATH, value, yaml } from "./template.ts";

export const RECORD_NAME = "hostmesh-install";
export const RECORD_KEY = "values.yaml";

/**
 * What an installation by `hostmesh install` leaves for the next upgrade: the values that were given, without the defaults,
 * which the next version may choose anew.
 */
export function installRecord(version: string, namespace: string, given: object): InstallObject {
  const object = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: RECORD_NAME,
      namespace: value(NAMESPACE_PATH),
      labels: labels("access", version),
    },
    data: { version, [RECORD_KEY]: yaml("given") },
  };
  const [record] = resolveManifests([{ file: "record", object }], {
    ...{ namespace, given, commonLabels: {} },
  });
  if (record === undefined) throw new Error("the record has no condition");
  return record;
}
