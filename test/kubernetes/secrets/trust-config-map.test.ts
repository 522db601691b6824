import assert from "node:assert/strict";
import { test } from "node:test";
import { TrustConfigMap } from "../../../src/kubernetes/secrets/trust-config-map.ts";
import { KubeApiServer } from "../../helpers/kube-api-server.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../../registry/fake-time.ts";
import { keepingLog } from "../../registry/setup.ts";

test("the leader keeps the anchors in the ConfigMap, whoever changes it", async (t) => {
  const server = await KubeApiServer.start(t);
  const time = new FakeTime();
  let leads = false;
  const api = await server.open();
  const trust = new TrustConfigMap({
    ...{ api, namespace: "hostmesh-system", name: "hostmesh-trust" },
    ...{ isLeader: () => leads, timers: time, log: keepingLog() },
  });
  t.after(() => trust.close());
  const found = () => server.get("v1", "ConfigMap", "hostmesh-system", "hostmesh-trust");
  const writes = () => server.count(/^(POST|PUT)/);
  const next = () => until(() => time.pending() === 1, { what: "the end of a look" });
  trust.publish(["-----A-----"]);
  await next();
  assert.equal(found(), undefined, "who does not lead writes nothing");
  leads = true;
  trust.look();
  await until(() => found()?.data["anchors.pem"] === "-----A-----\n", { what: "the first" });
  trust.publish(["-----A-----", "-----B-----\n"]);
  await until(() => found().data["anchors.pem"] === "-----A-----\n-----B-----\n");
  await next();
  const before = writes();
  time.advance(30_000);
  await next();
  assert.equal(writes(), before, "what is right is not written again");

  server.apply({ ...found(), data: { "anchors.pem": "changed", other: "kept" } });
  time.advance(30_000);
  await until(() => found().data["anchors.pem"] === "-----A-----\n-----B-----\n");
  assert.equal(found().data.other, "kept");
  await next();
  server.fail(/^PUT/, { kind: "answer", status: 409 });
  trust.publish(["-----C-----"]);
  await until(() => server.count(/^PUT/) === 3);
  await next();
  time.advance(2_000);
  await until(() => found().data["anchors.pem"] === "-----C-----\n", { what: "the second try" });
});
