import assert from "node:assert/strict";
import { after, afterEach, before, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "../helpers/until.ts";
import { skipReason } from "../netns/helpers/privilege.ts";
import { noTunReason } from "../netns/helpers/shaped-link.ts";
import { ChaosStage, type Outcome, SERVICE, type Server } from "./stage.ts";

/** What servers read beyond the requests may be so many of them, and so many a second besides. */
const BUDGET = { ratio: 0.2, minPerSecond: 10 };

/** A try that has no answer after this time is given up for another one. */
const TRY_LIMITS = {
  apiVersion: "networking.istio.io/v1",
  kind: "VirtualService",
  metadata: { name: SERVICE, namespace: "default" },
  spec: {
    hosts: [SERVICE],
    http: [
      {
        route: [{ destination: { host: SERVICE } }],
        timeout: "5s",
        retries: { attempts: 4, perTryTimeout: "500ms", retryOn: "connect-failure,reset,5xx" },
      },
    ],
  },
};

/**
 * Real load on a service of which parts fail in every way that parts have. No idempotent request fails while one
 * healthy endpoint exists, and what is tried again stays within the budget.
 */
describe("chaos", { skip: noTunReason() || skipReason() }, () => {
  let stage: ChaosStage;
  before(async () => {
    stage = await ChaosStage.create();
  });
  afterEach(async () => {
    await stage.link.shape({});
    await Promise.all(stage.servers.map((server) => server.heal()));
  });
  after(() => stage?.mesh.destroy());

  function unharmed(t: TestContext, outcome: Outcome, leastRequests = 10): void {
    const { ok, failed, failures, retries, read, seconds, p99Ms, maxMs } = outcome;
    t.diagnostic(
      `${ok} requests in ${seconds.toFixed(1)} s, ${retries} tried again, ${read} read by servers, p99 ${p99Ms} ms, slowest ${maxMs} ms`,
    );
    assert.deepEqual({ failed, failures }, { failed: 0, failures: {} });
    assert.ok(ok > leastRequests, `${ok} requests`);
    const allowed = ok * (1 + BUDGET.ratio) + seconds * BUDGET.minPerSecond;
    assert.ok(read <= allowed, `${read} read, of ${ok} requests`);
  }

  /** Waits until every one of them is asked again: what was put out of service is back. */
  async function serving(servers: readonly Server[]): Promise<void> {
    const before = await Promise.all(servers.map((server) => server.requests()));
    const served = async () => {
      const now = await Promise.all(servers.map((server) => server.requests()));
      return now.every((count, at) => count > (before[at] ?? 0));
    };
    await until(served, { timeoutMs: 15_000, what: "requests at every server" });
  }

  for (const where of ["near", "far"] as const) {
    test(`endpoints ${where} are killed and started again`, async (t) => {
      const outcome = await stage.under(async () => {
        await serving(stage.servers);
        for (const victim of stage[where].slice(0, 2)) {
          await victim.kill();
          await sleep(500);
          await victim.restart();
        }
        await serving(stage.servers);
      });
      unharmed(t, outcome);
    });

    for (const manner of ["reset", "half-close", "garbage"] as const) {
      test(`an endpoint ${where} answers every request with ${manner}`, async (t) => {
        const outcome = await stage.under(async () => {
          await serving(stage.servers);
          await stage[where][0]?.behave(manner);
          await sleep(1_500);
        });
        unharmed(t, outcome);
      });
    }

    test(`the configuration of endpoints ${where} changes a hundred times a second`, async (t) => {
      const { mesh, servers } = stage;
      const guests = stage[where].slice(-2);
      let changes = 0;
      const outcome = await stage.under(async () => {
        await serving(servers);
        const startMs = performance.now();
        for (; performance.now() - startMs < 2_500; changes += 1) {
          await change(guests[changes % 2]!, changes);
          await sleep(Math.max(0, startMs + changes * 10 - performance.now()));
        }
        const seconds = (performance.now() - startMs) / 1_000;
        t.diagnostic(`${(changes / seconds).toFixed(0)} changes a second`);
        await mesh.apply({ endpoints: servers.map(({ endpoint }) => endpoint) });
        await serving(servers);
      });
      unharmed(t, outcome);
      assert.ok(changes > 20, `${changes} changes`);
    });
  }

  /** Takes the endpoint back, or registers it again together with a service that nobody calls. */
  async function change(guest: Server, at: number): Promise<void> {
    const { mesh } = stage;
    const path = `/v1/mesh/endpoints/${guest.at.on.name}/${guest.name}`;
    const filler = { name: `filler-${at % 16}`, ports: [{ name: "", port: 80 + (at % 7) }] };
    if (at % 4 < 2) await mesh.call("DELETE", path);
    else await mesh.apply({ endpoints: [guest.endpoint], services: [filler] });
  }

  test("endpoints become slow", async (t) => {
    const outcome = await stage.under(async () => {
      await serving(stage.servers);
      for (const slow of [stage.near[0]!, stage.far[0]!]) await slow.behave("well", 200);
      await sleep(2_000);
    });
    unharmed(t, outcome);
  });

  test("packets between hosts are late, lost, doubled and out of order", async (t) => {
    const outcome = await stage.under(async () => {
      await serving(stage.servers);
      await stage.link.shape({
        ...{ delayMs: 10, jitterMs: 5, lossShare: 0.03, duplicateShare: 0.02 },
        ...{ reorderShare: 0.05, reorderMs: 10 },
      });
      await sleep(2_500);
      await stage.near[0]!.kill();
      await sleep(500);
      await stage.near[0]!.restart();
    });
    unharmed(t, outcome);
    const [there] = await stage.link.tallies();
    assert.ok(there.lost > 0 && there.reordered > 0 && there.duplicated > 0);
  });

  test("packets between hosts are lost in bursts, and the link is cut for a moment", async (t) => {
    const outcome = await stage.under(async () => {
      await serving(stage.servers);
      await stage.link.shape({ burst: { enter: 0.01, stay: 0.7 } });
      await sleep(1_500);
      await stage.link.shape({ cut: true });
      await sleep(300);
      await stage.link.shape({});
      await serving(stage.servers);
    });
    unharmed(t, outcome);
  });

  test("all endpoints but one are killed at once", async (t) => {
    const [, ...victims] = stage.servers;
    const outcome = await stage.under(async () => {
      await serving(stage.servers);
      await Promise.all(victims.map((victim) => victim.kill()));
      await sleep(1_500);
      await Promise.all(victims.map((victim) => victim.restart()));
    });
    unharmed(t, outcome);
  });

  describe("what only a time limit for each try can tell", () => {
    before(() => stage.mesh.policies(TRY_LIMITS));
    after(() => stage.mesh.noPolicies());

    test("two endpoints freeze", async (t) => {
      const outcome = await stage.under(async () => {
        await serving(stage.servers);
        for (const victim of [stage.near[0]!, stage.far[0]!]) victim.freeze();
        await sleep(3_000);
      });
      unharmed(t, outcome);
    });

    test("an endpoint accepts and never answers", async (t) => {
      const outcome = await stage.under(async () => {
        await serving(stage.servers);
        await stage.far[0]!.behave("silent");
        await sleep(3_000);
      });
      unharmed(t, outcome);
    });

    test("the other host is out of reach", async (t) => {
      const outcome = await stage.under(async () => {
        await serving(stage.servers);
        await stage.link.shape({ cut: true });
        await sleep(3_000);
      });
      unharmed(t, outcome);
    });
  });
});
