import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { processClock } from "../../../src/core/clock.ts";
import { Election } from "../../../src/registry/etcd/election.ts";
import { oneKey } from "../../../src/registry/etcd/etcd-messages.ts";
import { Layout } from "../../../src/registry/etcd/layout.ts";
import { Upkeep } from "../../../src/registry/etcd/upkeep.ts";
import { processTimers } from "../../../src/registry/timers.ts";
import { noEtcd } from "../../helpers/etcd.ts";
import { until } from "../../helpers/until.ts";
import { FakeTime } from "../fake-time.ts";
import { keepingLog } from "../setup.ts";
import { clientOf, newPrefix, openStore, sharedEtcd } from "./etcd-lab.ts";
import { etcdRelay } from "./etcd-relay.ts";

describe("the election of a leader", { skip: noEtcd }, () => {
  const etcd = sharedEtcd();

  function candidate(t: TestContext, prefix: string, registry: string, url: string): Election {
    const election = new Election({
      ...{ client: clientOf(t, [url], 500), layout: new Layout(prefix), registry, ttlMs: 1_000 },
      ...{ clock: processClock, timers: processTimers, log: keepingLog() },
    });
    t.after(() => election.close());
    election.start();
    return election;
  }

  test("there is never more than one, and a leader that is cut off stops before another begins", async (t) => {
    const [url = ""] = etcd().urls;
    const prefix = newPrefix();
    const relay = await etcdRelay(t, url);
    const one = candidate(t, prefix, "one", relay.url);
    await until(() => one.isLeader());
    const told: boolean[] = [];
    one.subscribe((leads) => told.push(leads));
    const other = candidate(t, prefix, "other", url);
    await until(() => other.leader() === "one", { what: "the other to see who leads" });
    relay.fate = () => "refused";
    relay.cut();
    await until(
      () => {
        assert.ok(!(one.isLeader() && other.isLeader()), "two lead");
        return other.isLeader();
      },
      { what: "another leader" },
    );
    relay.fate = () => "pass";
    await until(() => one.leader() === "other" && told.length > 0, { what: "the first to notice" });
    assert.deepEqual([one.isLeader(), told], [false, [false]]);
    await other.close();
    await until(() => one.isLeader(), { what: "the first to lead again" });
    assert.deepEqual(told, [false, true]);
  });

  test("only the leader compacts, and lets go what is older than one interval", async (t) => {
    const { urls } = etcd();
    const prefix = newPrefix();
    const store = await openStore(t, urls, prefix);
    const client = clientOf(t, urls);
    const time = new FakeTime();
    let isLeader = false;
    const upkeep = new Upkeep({
      ...{ client, layout: new Layout(prefix), timers: time, log: keepingLog(), compactMs: 1_000 },
      isLeader: () => isLeader,
      sweep: () => store.sweep(),
    });
    t.after(() => upkeep.close());
    const { header } = await client.range(oneKey("x"));
    const put = { kind: "workload", key: "default/a" } as const;
    const value = {
      name: "a",
      namespace: "default",
      serviceAccount: "a",
      host: "h",
      addresses: [],
    };
    const { revision } = await store.commit([{ ...put, value }], 1);
    assert.equal(revision, 2);
    const isThere = () =>
      client.range({ ...oneKey("x"), revision: String(header.revision) }).then(
        () => true,
        () => false,
      );
    time.advance(1_000);
    time.advance(1_000);
    assert.equal(await isThere(), true, "another one leads");
    isLeader = true;
    time.advance(1_000);
    await upkeep.idle();
    assert.equal(await isThere(), true, "not yet");
    time.advance(1_000);
    await upkeep.idle();
    await until(async () => !(await isThere()), { what: "the compaction" });
    await store.refresh();
  });
});
