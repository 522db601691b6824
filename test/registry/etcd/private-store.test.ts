import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Layout } from "../../../src/registry/etcd/layout.ts";
import { EtcdPrivateStore } from "../../../src/registry/etcd/private-store.ts";
import { processTimers } from "../../../src/registry/timers.ts";
import { noEtcd } from "../../helpers/etcd.ts";
import { until } from "../../helpers/until.ts";
import { privateStoreConformance } from "../identity/private-store-conformance.ts";
import { keepingLog } from "../setup.ts";
import { clientOf, newPrefix, sharedEtcd } from "./etcd-lab.ts";

describe("secrets in etcd", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  const open = (t: Parameters<typeof clientOf>[0], prefix: string) => {
    const store = new EtcdPrivateStore({
      ...{ client: clientOf(t, etcd().urls), layout: new Layout(prefix) },
      ...{ timers: processTimers, random: Math.random, log: keepingLog(), pollMs: 100 },
    });
    t.after(() => store.close());
    return store;
  };

  privateStoreConformance("EtcdPrivateStore", async (t) => {
    const prefix = newPrefix();
    return async () => open(t, prefix);
  });

  test("of many that redeem the same entry at once, one does", async (t) => {
    const prefix = newPrefix();
    const stores = Array.from({ length: 4 }, () => open(t, prefix));
    const version = (await stores[0]?.write("token", "new", null)) ?? "";
    const outcomes = await Promise.allSettled(
      stores.map((store) => store.write("token", "used", version)),
    );
    assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
  });

  test("what happened while etcd was gone is told when it is back", async (t) => {
    const prefix = newPrefix();
    const [store, other] = [open(t, prefix), open(t, prefix)];
    await store.write("authority", "1", null);
    const told: string[] = [];
    t.after(store.watch((name) => told.push(name)));
    await until(() => told.includes("authority"), { what: "the first look" });
    const [member] = etcd().members;
    await member?.stop();
    await member?.start();
    told.length = 0;
    await other.write("later", "2", null);
    await until(() => told.includes("later"), { what: "the change after the outage" });
  });
});
