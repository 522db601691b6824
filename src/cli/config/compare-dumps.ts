import { isDeepStrictEqual } from "node:util";
import type { ConfigDump } from "./dump-record.ts";

/** Something that is not the same on both sides. */
export interface Difference {
  readonly kind: "version" | "revision" | "setting" | "service" | "endpoint" | "policy";
  readonly name: string;
  /** What is different, for people. */
  readonly text: string;
}

export interface Sides {
  readonly left: string;
  readonly right: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** Settings that are a host's own. */
const OWN_SETTINGS = new Set(["host", "zone", "region", "dataDir"]);
/** Numbers that each daemon hands out for itself, and how a service stands at a moment. */
const OWN_SERVICE_FIELDS = new Set(["key", "slots", "routeStamp", "endpoints"]);
const OWN_ENDPOINT_FIELDS = new Set([
  "slot",
  "local",
  "mesh",
  "target",
  "away",
  "health",
  "identity",
  "address",
]);

/** What two daemons do not have in common although they should. */
export function compareDumps(left: ConfigDump, right: ConfigDump, sides: Sides): Difference[] {
  const found: Difference[] = [];
  for (const kind of ["version", "revision"] as const) {
    if (left[kind] === right[kind]) continue;
    const text = `${left[kind]} on ${sides.left}, ${right[kind]} on ${sides.right}`;
    found.push({ kind, name: "daemon", text });
  }
  return [
    ...found,
    ...settingDifferences(left.settings, right.settings, sides),
    ...serviceDifferences(left, right, sides),
    ...policyDifferences(left, right, sides),
  ];
}

function settingDifferences(left: Fields, right: Fields, sides: Sides): Difference[] {
  const one = new Map(leaves(left, ""));
  const other = new Map(leaves(right, ""));
  return [...new Set([...one.keys(), ...other.keys()])]
    .filter((name) => !OWN_SETTINGS.has(name) && one.get(name) !== other.get(name))
    .map((name) => ({
      kind: "setting",
      name,
      text: `${one.get(name) ?? "none"} on ${sides.left}, ${other.get(name) ?? "none"} on ${sides.right}`,
    }));
}

function leaves(value: unknown, path: string): [string, string][] {
  const isTree = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isTree) return [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([name, below]) =>
    leaves(below, path === "" ? name : `${path}.${name}`),
  );
}

function serviceDifferences(left: ConfigDump, right: ConfigDump, sides: Sides): Difference[] {
  const one = keyed(left.snapshot.services, ({ key }) => key);
  const other = keyed(right.snapshot.services, ({ key }) => key);
  return compared(one, other, sides, "service", (a, b, name) => [
    ...fieldDifference("service", name, a, b, OWN_SERVICE_FIELDS),
    ...compared(
      keyed(a.endpoints, ({ id }) => id),
      keyed(b.endpoints, ({ id }) => id),
      sides,
      "endpoint",
      (first, second, id) =>
        fieldDifference("endpoint", `${name} ${id}`, first, second, OWN_ENDPOINT_FIELDS),
      `${name} `,
    ),
  ]);
}

function policyDifferences(left: ConfigDump, right: ConfigDump, sides: Sides): Difference[] {
  const [one, other] = [left.snapshot.policies, right.snapshot.policies];
  if (one === undefined || other === undefined) return [];
  const asMap = (policies: Fields) => new Map(Object.entries(policies));
  return compared(asMap(one), asMap(other), sides, "policy", (a, b, name) =>
    isDeepStrictEqual(a, b) ? [] : [{ kind: "policy", name, text: "differs" }],
  );
}

export function keyed<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T> {
  return new Map(items.map((item) => [keyOf(item), item]));
}

/** What only one side has, and what `judge` finds of what both have; by name. */
export function compared<T>(
  left: ReadonlyMap<string, T>,
  right: ReadonlyMap<string, T>,
  sides: Sides,
  kind: Difference["kind"],
  judge: (left: T, right: T, name: string) => Difference[],
  prefix = "",
): Difference[] {
  const names = [...new Set([...left.keys(), ...right.keys()])].sort();
  return names.flatMap((name): Difference[] => {
    const [one, other] = [left.get(name), right.get(name)];
    if (one !== undefined && other !== undefined) return judge(one, other, name);
    const side = one === undefined ? sides.right : sides.left;
    return [{ kind, name: `${prefix}${name}`, text: `only on ${side}` }];
  });
}

function fieldDifference(
  kind: "service" | "endpoint",
  name: string,
  left: Fields,
  right: Fields,
  own: ReadonlySet<string>,
): Difference[] {
  const fields = [...new Set([...Object.keys(left), ...Object.keys(right)])];
  const differing = fields.filter(
    (field) => !own.has(field) && !isDeepStrictEqual(left[field], right[field]),
  );
  return differing.length === 0
    ? []
    : [
        {
          kind,
          name,
          text: `${differing.sort().join(", ")} ${differing.length === 1 ? "differs" : "differ"}`,
        },
      ];
}
