import { accessManifests } from "./objects/access.ts";
import { daemonManifests } from "./objects/daemon.ts";
import { dataPathTest } from "./objects/data-path-test.ts";
import { monitoringManifests } from "./objects/monitoring.ts";
import { namespaceManifest } from "./objects/namespace.ts";
import { registryManifests } from "./objects/registry.ts";
import { installRecord } from "./record.ts";
import { type Filling, type InstallObject, resolveManifests } from "./resolve.ts";
import type { Manifest } from "./template.ts";
import { isTree, mergeValues, namespaceValue, type Values, valuesSchema } from "./values.ts";

/** The namespace that the programs take for the mesh's own (`kubernetes.namespace`). */
export const DEFAULT_NAMESPACE = "hostmesh-system";

/** Of the Prometheus operator. */
const FOREIGN = "monitoring.coreos.com/";

/** Everything that hostmesh runs on a cluster, in the order in which it is made. */
export function manifests(version: string): Manifest[] {
  return [
    namespaceManifest(version),
    ...accessManifests(version),
    ...registryManifests(version),
    ...daemonManifests(version),
    ...monitoringManifests(version),
    dataPathTest(version),
  ];
}

export interface Installation {
  readonly version: string;
  readonly namespace: string;
  readonly values: Values;
}

/** The objects of an installation, in the order in which they are made. */
export function installObjects({ version, namespace, values }: Installation): InstallObject[] {
  const filling: Filling = { ...values, namespace: namespaceValue.parse(namespace) };
  return resolveManifests(manifests(version), filling);
}

/**
 * The objects of every possible installation, for what only their names are asked: but for those whose kind a cluster may
 * not know. They go with the namespace.
 */
export function everyObject(version: string, namespace: string): InstallObject[] {
  const filling: Filling = { ...valuesSchema(version).parse({}), namespace };
  const always = manifests(version)
    .filter(({ when }) => when === undefined || !("target" in when) || when.target === "objects")
    .map(({ file, object }) => ({ file, object }));
  return [
    ...resolveManifests(always, filling).filter(
      ({ apiVersion }) => !apiVersion.startsWith(FOREIGN),
    ),
    installRecord(version, namespace, {}),
  ];
}

/**
 * Objects in which they are removed. The daemons go first, so that each gives its capture back while
 * all the rest still stands; the namespace goes last, with what the programs have made in it.
 */
export function uninstallOrder(objects: readonly InstallObject[]): InstallObject[] {
  const isDaemon = ({ kind }: InstallObject) => kind === "DaemonSet";
  return [...objects.filter(isDaemon), ...objects.filter((object) => !isDaemon(object)).reverse()];
}

/**
 * Values from what a user gives, over the defaults, as Helm puts them together.
 * @throws z.ZodError naming every value that is wrong, RangeError for one that was removed.
 */
export function readValues(version: string, given: unknown): Values {
  const schema = valuesSchema(version);
  if (!isTree(given)) return schema.parse(given);
  const merged = mergeValues(schema.parse({}), given);
  const values = schema.parse(merged);
  const removed = missingIn(merged, values);
  // A chart's schema refuses it too.
  if (removed !== null) throw new RangeError(`${removed} cannot be null: give it empty`);
  return values;
}

/** A place of the second that the first does not have. */
function missingIn(merged: unknown, whole: unknown, path = ""): string | null {
  if (!isTree(merged) || !isTree(whole)) return null;
  for (const [key, part] of Object.entries(whole)) {
    const place = path === "" ? key : `${path}.${key}`;
    if (!Object.hasOwn(merged, key)) return place;
    const below = missingIn(merged[key], part, place);
    if (below !== null) return below;
  }
  return null;
}
