import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPath } from "../../src/core/schema-issue.ts";
import { fieldsOf } from "../../src/dialects/support.ts";
import { identify } from "../../src/dialects/translate.ts";
import { translators } from "../../src/dialects/translators.ts";
import { compilePolicy } from "../../src/proxy/routing/authorize/compiled-policy.ts";
import { RuleCompiler } from "../../src/proxy/routing/authorize/rule.ts";
import { RouteSet } from "../../src/proxy/routing/match/route-set.ts";
import { policySchema } from "../../src/registry/policy-schema.ts";
import { endpointSchema, serviceSchema } from "../../src/registry/record-schema.ts";
import { routeSchema } from "../../src/registry/route-schema.ts";
import { scopeSchema, trafficSchema } from "../../src/registry/traffic-schema.ts";
import { dig } from "../registry/setup.ts";
import { type Golden, goldens, outcomeOf, outcomesOf } from "./golden.ts";

const all = goldens();

for (const golden of all) {
  test(`${golden.name}.yaml becomes what ${golden.name}.json says`, () => {
    assert.deepEqual(outcomesOf(golden), golden.expected);
  });
}

const SHAPES = {
  policy: policySchema,
  route: routeSchema,
  traffic: trafficSchema,
  scope: scopeSchema,
  service: serviceSchema,
  endpoint: endpointSchema,
};

test("every translation is of the store's shape, which drops and refuses nothing of it", () => {
  for (const { expected } of all) {
    assert.ok(Array.isArray(expected));
    for (const outcome of expected) {
      for (const { kind, value } of outcome.records ?? []) {
        assert.deepEqual(SHAPES[kind as keyof typeof SHAPES].parse(value), value);
      }
    }
  }
});

test("every translation is understood where it is enforced", () => {
  const compiler = new RuleCompiler("mesh.example");
  for (const { expected } of all) {
    assert.ok(Array.isArray(expected));
    for (const { kind, value } of expected.flatMap(({ records }) => records ?? [])) {
      if (kind === "route") {
        new RouteSet([routeSchema.parse(value)], (source, reason) => {
          assert.fail(`${source}: ${reason}`);
        });
      }
      if (kind !== "policy") continue;
      const policy = policySchema.parse(value);
      if (policy.kind !== "authorization" && policy.kind !== "intentions") continue;
      assert.equal(compilePolicy(policy, compiler).problem, "", policy.source);
    }
  }
});

/** One resource of a golden file and its place in it. */
interface Sample {
  readonly golden: Golden;
  readonly index: number;
}

const samples = all.flatMap((golden) => golden.resources.map((_, index) => ({ golden, index })));

/** The samples that a schema reads. */
function samplesOf(kind: string, versions: readonly string[]): Sample[] {
  return samples.filter(({ golden, index }) => {
    const found = identify(golden.resources[index]);
    return found.name.kind === kind && versions.includes(found.version);
  });
}

/** The places of `spec.rules[].from[]` in a value: every index of every list on the way. */
function placesOf(value: unknown, parts: readonly string[]): PropertyKey[][] {
  const [part, ...rest] = parts;
  if (part === undefined) return [[]];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value)
    .filter(([name]) => part === "*" || camel(name) === part)
    .flatMap(([name, inside]) =>
      placesOf(inside, rest).map((place) => [Array.isArray(value) ? Number(name) : name, ...place]),
    );
}

/** Consul's fields have other spellings too. */
const camel = (name: string) =>
  name.replace(/^[A-Z]+(?![a-z])|^[A-Z]/, (start) => start.toLowerCase());

/** `a[].b` as the parts `a`, `*`, `b`. */
const partsOf = (path: string) => path.replaceAll("[]", ".*").split(".");

/** What becomes of a sample, and of those beside it, when a change was made to a copy of it. */
function outcomesWith({ golden, index }: Sample, change: (copy: object) => void): unknown[] {
  const copy = structuredClone(golden.resources[index]) as Record<string, unknown>;
  change(copy);
  const resources = golden.resources.map((each, at) => (at === index ? copy : each));
  return outcomesOf({ ...golden, resources });
}

const unchanged = new Map<Golden, string>();

/** What becomes of all resources of a golden file as they are, as text. */
function outcomesBefore(golden: Golden): string {
  const known = unchanged.get(golden) ?? JSON.stringify(outcomesOf(golden));
  unchanged.set(golden, known);
  return known;
}

function parentOf(value: object, place: readonly PropertyKey[]): object {
  return place.slice(0, -1).reduce((at: object, part) => Reflect.get(at, part), value);
}

/** Honoured by being kept and shown, or with a single value that says nothing. */
const WITHOUT_EFFECT = new Set([
  "metadata.labels",
  "metadata.creationTimestamp",
  "sources[].description",
  "sources[].type",
  "sources[].partition",
  "sources[].peer",
  "sources[].samenessGroup",
  "spec.sources[].description",
  "spec.sources[].type",
  "spec.sources[].partition",
  "spec.sources[].peer",
  "spec.sources[].samenessGroup",
  "spec.destination.namespace",
  "spec.destination.partition",
  "destination.namespace",
  "partition",
  "spec.targetRefs[].group",
  "spec.matches[].apiGroup",
]);

/** Of which only the value is taken that says nothing; and Consul's Meta, which is kept. */
const SINGLE_VALUED =
  /(?:^|\.)(?:partition|peer|datacenter|datacenters|samenessGroup|policy\.mode|clientRefs\[\]\.group)$|^meta$/;
/** Of its Meta a key has an effect. */
const READS_META = new Set(["service-intentions"]);

function saysNothing(kind: string, path: string): boolean {
  if (path === "meta" && READS_META.has(kind)) return false;
  return WITHOUT_EFFECT.has(path) || SINGLE_VALUED.test(path);
}

for (const { kind, forms } of translators) {
  for (const { versions, schema } of forms) {
    const own = samplesOf(kind, versions);
    test(`every field of ${kind} ${versions.join(", ")} that is honoured makes a difference`, () => {
      const idle = fieldsOf(schema)
        .filter(({ how, path }) => /honoured|differently/.test(how) && !saysNothing(kind, path))
        .filter(({ path }) => path !== "spec" && !/^(apiVersion|kind|metadata)/.test(path))
        .filter(
          ({ path }) =>
            !own.some((sample) => {
              const before = outcomesBefore(sample.golden);
              return placesOf(sample.golden.resources[sample.index], partsOf(path)).some(
                (place) => {
                  const after = outcomesWith(sample, (copy) => {
                    Reflect.deleteProperty(parentOf(copy, place), place.at(-1) ?? "");
                  });
                  return JSON.stringify(after) !== before;
                },
              );
            }),
        )
        .map(({ path }) => path);
      assert.deepEqual(idle, []);
    });

    test(`every field of ${kind} ${versions.join(", ")} that is refused is refused with its path`, () => {
      for (const { path, how, note } of fieldsOf(schema)) {
        if (how !== "refused") continue;
        const parts = partsOf(path);
        const found = own.flatMap((sample) =>
          placesOf(sample.golden.resources[sample.index], parts.slice(0, -1)).map((place) => ({
            sample,
            place: [...place, parts.at(-1) ?? ""],
          })),
        )[0];
        assert.ok(found, `no golden resource has a place for ${path}`);
        const outcome = outcomesWith(found.sample, (copy) => {
          Reflect.set(parentOf(copy, found.place), found.place.at(-1) ?? "", {});
        })[found.sample.index];
        assert.deepEqual(
          [dig(outcome, "refused.0.path"), dig(outcome, "refused.0.reason")],
          [formatPath(found.place), note],
        );
      }
    });
  }
}

test("a field that is taken without effect gives a warning with its path", () => {
  for (const name of ["uid", "resourceVersion", "ownerReferences"]) {
    const outcome = outcomeOf({
      apiVersion: "security.istio.io/v1",
      kind: "PeerAuthentication",
      metadata: { name: "a", [name]: name === "ownerReferences" ? [{}] : "x" },
    });
    assert.equal(dig(outcome, "warnings.0.path"), `metadata.${name}`);
    assert.match(String(dig(outcome, "warnings.0.message")), /^no effect: /);
  }
});
