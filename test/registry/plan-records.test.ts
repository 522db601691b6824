import assert from "node:assert/strict";
import { test } from "node:test";
import type { Endpoint, Service } from "../../src/core/model.ts";
import type { TranslatedRecord } from "../../src/dialects/translator.ts";
import { Draft } from "../../src/registry/draft.ts";
import type { EndpointInput } from "../../src/registry/inputs.ts";
import { registerEndpoint, removeEndpoint } from "../../src/registry/plan-endpoint.ts";
import { removeRecords, replaceRecords } from "../../src/registry/plan-records.ts";
import { declareService, withdrawService } from "../../src/registry/plan-service.ts";
import { VirtualRange } from "../../src/registry/virtual-range.ts";

const settings = {
  ranges: [new VirtualRange("10.96.0.0/16")],
  balancer: { policy: "peak-ewma", slowStartMs: 0 },
} as const;
const OWNER = "core/Service/shop/reviews";
const SLICE = "discovery.k8s.io/EndpointSlice/shop/reviews-1";

function draft(): Draft {
  return new Draft({ get: () => undefined, members: () => [] });
}

function service(more: Partial<Service> = {}): TranslatedRecord {
  const value: Service = {
    ...{ name: "reviews", namespace: "shop", addresses: [], meta: {} },
    ...{ ports: [{ name: "http", port: 9080 }], balancer: settings.balancer, ...more },
  };
  return { kind: "service", key: `${value.namespace}/${value.name}`, value };
}

function endpoint(id: string, more: Partial<Endpoint> = {}): TranslatedRecord {
  const value: Endpoint = {
    ...{ id, service: "reviews", namespace: "shop", address: "::ffff:10.0.0.9", port: 9080 },
    ...{ portName: "http", weight: 1, zone: "", host: "h1", meta: {}, health: "passing", ...more },
  };
  return { kind: "endpoint", key: id, value };
}

function registration(more: Partial<EndpointInput> = {}): EndpointInput {
  return {
    ...{ host: "h1", instance: "reviews-a", service: "reviews", namespace: "shop" },
    ...{ address: "10.0.0.1", port: 9080, portName: "", weights: { passing: 1, warning: 1 } },
    ...{ zone: "", meta: { version: "v1" }, tags: [], protocol: undefined, checks: [] },
    replaceChecks: true,
    implied: {
      ...{ protocol: undefined, policy: undefined, mtls: undefined, port: undefined },
      addresses: [],
    },
    ...more,
  };
}

function declaration() {
  return {
    ...{ name: "reviews", namespace: "shop", addresses: [], ports: [], protocol: undefined },
    ...{ balancer: settings.balancer, meta: {}, mtls: undefined },
  };
}

test("a service of a resource gets a virtual address, keeps it, and goes with the resource", () => {
  const own = draft();
  replaceRecords(own, OWNER, [], [service()], settings);
  const [address] = own.get("service", "shop/reviews")?.service.addresses ?? [];
  assert.match(address ?? "", /^10\.96\./);
  const records = [{ kind: "service", key: "shop/reviews" }] as const;
  replaceRecords(own, OWNER, records, [service({ meta: { a: "b" } })], settings);
  assert.deepEqual(own.get("service", "shop/reviews")?.service.addresses, [address]);
  removeRecords(own, OWNER, records, settings);
  assert.equal(own.get("service", "shop/reviews"), undefined);
});

test("a service that endpoints implied is taken over with its address and given back", () => {
  const own = draft();
  registerEndpoint(own, registration(), settings);
  const before = own.get("service", "shop/reviews");
  replaceRecords(own, OWNER, [], [service()], settings);
  const during = own.get("service", "shop/reviews");
  assert.deepEqual([during?.declared, during?.resource], [true, OWNER]);
  assert.deepEqual(during?.service.addresses, before?.service.addresses);
  assert.deepEqual(own.get("endpoint", "h1/reviews-a")?.endpoint.meta, { version: "v1" });
  removeRecords(own, OWNER, [{ kind: "service", key: "shop/reviews" }], settings);
  assert.deepEqual(own.get("service", "shop/reviews"), before);
});

test("a declared service is not overwritten by a resource, nor the other way round", () => {
  const declared = draft();
  declareService(declared, declaration(), settings);
  assert.throws(() => replaceRecords(declared, OWNER, [], [service()], settings), {
    message: /shop\/reviews was declared by registration/,
  });
  const brought = draft();
  replaceRecords(brought, OWNER, [], [service()], settings);
  const refusal = { status: 409, message: /brought by the resource core\/Service\/shop\/reviews/ };
  assert.throws(() => declareService(brought, declaration(), settings), refusal);
  assert.throws(() => withdrawService(brought, "shop/reviews", settings), refusal);
  assert.throws(() => replaceRecords(brought, "other", [], [service()], settings), {
    message: /already brought by core\/Service/,
  });
});

test("a virtual address of another service is refused", () => {
  const own = draft();
  replaceRecords(own, OWNER, [], [service({ addresses: ["10.96.0.9"] })], settings);
  const other = service({ name: "ratings", addresses: ["10.96.0.9"] });
  assert.throws(() => replaceRecords(own, "other", [], [other], settings), {
    message: "10.96.0.9 is a virtual address of shop/reviews",
  });
});

test("endpoints of a slice join those that are registered, and go with the slice", () => {
  const own = draft();
  declareService(own, declaration(), settings);
  registerEndpoint(own, registration(), settings);
  replaceRecords(own, SLICE, [], [endpoint("slice/0")], settings);
  assert.equal(own.get("endpoint", "slice/0")?.endpoint.address, "10.0.0.9");
  const refusal = { status: 409, message: /slice\/0 is brought by the resource/ };
  assert.throws(() => removeEndpoint(own, "slice/0"), refusal);
  const same = registration({ host: "slice", instance: "0" });
  assert.throws(() => registerEndpoint(own, same, settings), refusal);
  assert.throws(() => replaceRecords(own, SLICE, [], [endpoint("h1/reviews-a")], settings), {
    message: /already comes from a registration/,
  });
  removeRecords(own, SLICE, [{ kind: "endpoint", key: "slice/0" }], settings);
  assert.equal(own.get("endpoint", "slice/0"), undefined);
  assert.notEqual(own.get("endpoint", "h1/reviews-a"), undefined);
});

test("an implied service stays while endpoints of a resource serve it", () => {
  const own = draft();
  registerEndpoint(own, registration(), settings);
  replaceRecords(own, SLICE, [], [endpoint("slice/0")], settings);
  removeEndpoint(own, "h1/reviews-a");
  assert.notEqual(own.get("service", "shop/reviews"), undefined);
  removeRecords(own, SLICE, [{ kind: "endpoint", key: "slice/0" }], settings);
  assert.equal(own.get("service", "shop/reviews"), undefined);
});

test("a resource does not bring endpoints into a namespace of the mesh's own", () => {
  const bad = endpoint("slice/0", { namespace: "hostmesh-system" });
  assert.throws(() => replaceRecords(draft(), SLICE, [], [bad], settings), { status: 403 });
});
