import { test } from "node:test";
import { routeYaml } from "./routes.ts";
import type { Case, GatewayStage } from "./stage.ts";

const TO = { to: "echo:7070", protocol: "grpc" } as const;
const ROUTE = { kind: "GRPCRoute", port: 7_070 } as const;

/** Calls of gRPC, by a client that speaks it. */
export function grpcTests(stage: () => GatewayStage): void {
  test("MeshGRPCRouteWeight: calls are shared by weight, whatever has a weight of 0", async () => {
    const rules = `
- backendRefs:
    - { name: echo-v1, port: 7070, weight: 70 }
    - { name: echo-v2, port: 7070, weight: 30 }
    - { name: echo-v3, port: 7070, weight: 0 }`;
    const shares = { "echo-v1": 0.7, "echo-v2": 0.3 };
    const check = () => stage().expectShares(TO, shares);
    // There is no echo-v3.
    await stage().withRoutes(
      routeYaml({ ...ROUTE, name: "weights", rules }),
      check,
      "BackendNotFound",
    );
  });

  test("MeshGRPCRouteRequestHeaderModifier: a rule changes metadata of calls", async () => {
    const rule = (value: string, change: string, backend: string) => `
- matches: [{ headers: [{ name: x-case, value: ${value} }] }]
  filters: [{ type: RequestHeaderModifier, requestHeaderModifier: ${change} }]
  backendRefs: [{ name: ${backend}, port: 7070 }]`;
    const all =
      "{ set: [{ name: x-set-1, value: s1 }, { name: x-set-2, value: s2 }], add: [{ name: x-add-1, value: a1 }, { name: x-add-2, value: a2 }], remove: [x-remove-1, x-remove-2] }";
    const rules = [
      rule("set", "{ set: [{ name: x-set, value: theirs }] }", "echo-v1"),
      rule("add", "{ add: [{ name: x-add, value: theirs }] }", "echo-v1"),
      rule("remove", "{ remove: [x-remove] }", "echo-v1"),
      rule("all", all, "echo-v2"),
    ];
    const cases: readonly Case[] = [
      {
        ...{ ...TO, by: "echo-v1", headers: { "x-case": "set", other: "val", "x-set": "mine" } },
        seen: { "x-case": "set", other: "val", "x-set": "theirs" },
      },
      {
        ...{ ...TO, by: "echo-v1", headers: { "x-case": "add", "x-add": "mine" } },
        seen: { "x-add": "mine,theirs" },
      },
      {
        ...{ ...TO, by: "echo-v1", headers: { "x-case": "remove", "x-remove": "mine" } },
        seen: { "x-case": "remove", "x-remove": null },
      },
      {
        ...{ ...TO, from: "echo-v2", by: "echo-v2" },
        headers: { "x-case": "all", "x-set-2": "mine", "x-add-2": "mine", "x-remove-2": "mine" },
        seen: {
          ...{ "x-set-1": "s1", "x-set-2": "s2", "x-add-1": "a1", "x-add-2": "mine,a2" },
          ...{ "x-remove-1": null, "x-remove-2": null },
        },
      },
    ];
    await stage().withRoutes(routeYaml({ ...ROUTE, name: "metadata", rules: rules.join("") }), () =>
      // From the other host too.
      stage().expect(...cases, ...cases.map((one): Case => ({ ...one, from: "echo-v2" }))),
    );
  });
}
