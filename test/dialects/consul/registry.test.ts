import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../helpers/until.ts";
import { call, dig, testClient, testRegistry } from "../../registry/setup.ts";

const PATH = "/v1/mesh/resources";
const ROUTER = "consul/service-router/default/web";
const SPLITTER = "consul/service-splitter/default/web";
const RESOLVER = "consul/service-resolver/default/web";

const splitter = (weight: number) => ({
  ...{ Kind: "service-splitter", Name: "web" },
  Splits: [
    { Weight: 100 - weight, ServiceSubset: "v1" },
    { Weight: weight, ServiceSubset: "v2" },
  ],
});
const resolver = {
  ...{ Kind: "service-resolver", Name: "web", DefaultSubset: "v1" },
  Subsets: {
    v1: { Filter: "Service.Meta.version == v1" },
    v2: { Filter: "Service.Meta.version == v2" },
  },
};
const router = {
  ...{ Kind: "service-router", Name: "web" },
  Routes: [{ Match: { HTTP: { PathExact: "/new" } }, Destination: { ServiceSubset: "v2" } }],
};

test("each entry of a chain changes the one table that is in force, and a circle changes nothing", async (t) => {
  const registry = await testRegistry(t);
  const { client, records } = await testClient(t, [registry.url]);
  await client.start();
  const apply = (...resources: readonly object[]) => call(registry, "POST", PATH, resources);
  const remove = async (key: string) => {
    const { status } = await call(registry, "DELETE", `${PATH}/${key}`);
    assert.equal(status, 200);
  };
  const tables = () =>
    [...records]
      .filter(([key, value]) => key.startsWith("route ") && dig(value, "protocol") === "http")
      .map(([key]) => key.slice("route ".length))
      .join();
  const weightOfV2 = (key: string, rule: number) =>
    dig(records.get(`route ${key}`), `rules.${rule}.action.backends.1.weight`);

  assert.equal((await apply(splitter(5), resolver)).status, 200);
  await until(() => tables() === SPLITTER, { what: "the splitter's table" });
  assert.equal(weightOfV2(SPLITTER, 0), 1);

  assert.equal((await apply(router)).status, 200);
  await until(() => tables() === ROUTER, { what: "the router's table in its place" });
  assert.equal(weightOfV2(ROUTER, 1), 1);

  // The canary's weight reaches the router's table.
  assert.equal((await apply(splitter(50))).status, 200);
  await until(() => dig(records.get(`route ${ROUTER}`), "rules.1.action.backends.0.weight") === 1, {
    what: "the new weight",
  });

  const circle = await apply({ Kind: "service-resolver", Name: "a", Redirect: { Service: "b" } });
  assert.equal(circle.status, 200);
  const closing = await apply(
    { Kind: "service-resolver", Name: "b", Redirect: { Service: "a" } },
    splitter(25),
  );
  assert.deepEqual(
    [dig(closing.body, "results.0.result"), dig(closing.body, "results.0.errors.0.path")],
    ["refused", "Redirect"],
  );
  // It does not hold up the other.
  await until(() => dig(records.get(`route ${ROUTER}`), "rules.1.action.backends.0.weight") === 3, {
    what: "the weight that was applied beside it",
  });
  await remove("consul/service-resolver/default/a");

  await remove(ROUTER);
  await remove(SPLITTER);
  await until(() => tables() === RESOLVER, { what: "the resolver's table, at last" });
  await remove(RESOLVER);
  await until(() => ![...records.keys()].some((key) => /^(route|traffic) /.test(key)), {
    what: "nothing left",
  });
});
