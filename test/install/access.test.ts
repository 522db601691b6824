import assert from "node:assert/strict";
import test from "node:test";
import * as z from "zod";
import { pluralOf } from "../../src/install/objects/access.ts";
import type { InstallObject } from "../../src/install/resolve.ts";
import { wantedKinds } from "../../src/kubernetes/api/wanted-kinds.ts";
import { STATUS_KINDS } from "../../src/kubernetes/status/status-kinds.ts";
import { objectsOf, VARIANTS } from "./variants.ts";

const role = z.looseObject({
  rules: z.array(
    z.strictObject({
      apiGroups: z.array(z.string()),
      resources: z.array(z.string()),
      resourceNames: z.array(z.string()).optional(),
      verbs: z.array(z.string()),
    }),
  ),
});
const binding = z.looseObject({
  roleRef: z.looseObject({ kind: z.string(), name: z.string() }),
  subjects: z.array(z.looseObject({ kind: z.string(), name: z.string() })),
});

/** Every single right that an object gives: `verb group/resource`, and the name where it is for one alone. */
function rightsOf(object: InstallObject | undefined): string[] {
  return role
    .parse(object)
    .rules.flatMap(({ apiGroups, resources, resourceNames, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) =>
          verbs.flatMap((verb) =>
            (resourceNames ?? [""]).map(
              (name) => `${verb} ${group}/${resource}${name === "" ? "" : ` ${name}`}`,
            ),
          ),
        ),
      ),
    );
}

const find = (objects: readonly InstallObject[], kind: string, name: string) =>
  objects.find((object) => object.kind === kind && object.metadata.name === name);

test("plurals are those of the definitions", () => {
  const known: Readonly<Record<string, string>> = {
    ...{ AuthorizationPolicy: "authorizationpolicies", PeerAuthentication: "peerauthentications" },
    ...{ RequestAuthentication: "requestauthentications", VirtualService: "virtualservices" },
    ...{ DestinationRule: "destinationrules", ServiceEntry: "serviceentries" },
    ...{ WorkloadEntry: "workloadentries", Sidecar: "sidecars", TrafficTarget: "traffictargets" },
    ...{ TrafficSplit: "trafficsplits", HTTPRouteGroup: "httproutegroups", TCPRoute: "tcproutes" },
    ...{ HTTPRoute: "httproutes", GRPCRoute: "grpcroutes", ServiceProfile: "serviceprofiles" },
    XBackendTrafficPolicy: "xbackendtrafficpolicies",
    HTTPLocalRateLimitPolicy: "httplocalratelimitpolicies",
  };
  for (const { kind } of wantedKinds()) assert.equal(pluralOf(kind), known[kind], kind);
});

test("the registry reads what it follows and writes nothing but statuses, events and its own objects", () => {
  const objects = objectsOf({});
  const rights = rightsOf(find(objects, "ClusterRole", "hostmesh-registry"));
  assert.equal(new Set(rights).size, rights.length);
  const writes = rights.filter((right) => !/^(get|list|watch) /.test(right));
  for (const right of writes) {
    assert.match(
      right,
      /^(patch (gateway\.networking\.(x-)?k8s\.io|(networking|security)\.istio\.io)\/\w+\/status|(create|patch) events\.k8s\.io\/events|create authentication\.k8s\.io\/tokenreviews)$/,
    );
  }
  const readable = [
    "/services",
    "/pods",
    "/nodes",
    "/namespaces",
    "discovery.k8s.io/endpointslices",
  ];
  const followed = [
    ...readable,
    "apiextensions.k8s.io/customresourcedefinitions",
    ...["TLSRoute", "TCPRoute", "UDPRoute"].map((k) => `gateway.networking.k8s.io/${pluralOf(k)}`),
    ...wantedKinds().map(({ group, kind }) => `${group}/${pluralOf(kind)}`),
  ];
  const read = followed.flatMap((what) =>
    ["get", "list", "watch"].map((verb) => `${verb} ${what}`),
  );
  read.push("get events.k8s.io/events");
  assert.deepEqual(rights.filter((right) => !writes.includes(right)).sort(), read.sort());
});

test("the registry may do all that statuses, their waits and Events need", () => {
  const rights = new Set(rightsOf(find(objectsOf({}), "ClusterRole", "hostmesh-registry")));
  const needed = STATUS_KINDS.flatMap(({ group, plural }) => [
    ...["get", "list", "watch"].map((verb) => `${verb} ${group}/${plural}`),
    `patch ${group}/${plural}/status`,
  ]);
  assert.ok(needed.includes("patch gateway.networking.k8s.io/tcproutes/status"));
  needed.push(...["get", "create", "patch"].map((verb) => `${verb} events.k8s.io/events`));
  assert.deepEqual(
    needed.filter((right) => !rights.has(right)),
    [],
  );
});

test("of secrets and config maps the registry sees its own two alone, in its own namespace", () => {
  const rights = rightsOf(find(objectsOf({}), "Role", "hostmesh-registry"));
  assert.deepEqual(rights.sort(), [
    "create /configmaps",
    "create /secrets",
    "create coordination.k8s.io/leases",
    "get /configmaps hostmesh-trust",
    "get /secrets hostmesh-ca",
    "get coordination.k8s.io/leases hostmesh-registry",
    "list /secrets hostmesh-ca",
    "update /configmaps hostmesh-trust",
    "update /secrets hostmesh-ca",
    "update coordination.k8s.io/leases hostmesh-registry",
    "watch /secrets hostmesh-ca",
  ]);
});

test("nothing is bound to the daemons, no right is for all resources, and roles are there", () => {
  for (const values of Object.values(VARIANTS)) {
    const objects = objectsOf(values);
    const bindings = objects.filter(({ kind }) => kind.endsWith("Binding"));
    assert.ok(bindings.length >= 3);
    for (const object of bindings) {
      const { roleRef, subjects } = binding.parse(object);
      assert.ok(find(objects, roleRef.kind, roleRef.name) !== undefined);
      for (const { kind, name } of subjects) {
        assert.notEqual(name, "hostmesh-daemon");
        if (kind === "ServiceAccount") assert.ok(find(objects, kind, name) !== undefined);
      }
    }
    assert.ok(!JSON.stringify(objects).includes('"*"'));
  }
});
