import assert from "node:assert/strict";
import { test } from "node:test";
import { request } from "undici";
import { openSite, type Site } from "../../bench/lib/site.ts";
import { Workbench } from "../../bench/lib/workbench.ts";
import { runLoad } from "../../bench/load/run-load.ts";
import type { LoadJob, Target } from "../../bench/model.ts";
import { startUpstream, type UpstreamService } from "../../bench/upstream/start-upstream.ts";
import { freePort } from "../../daemon/free-port.ts";

/** Opens a bench on this host, and ends it with all its processes. */
async function withBench(run: (bench: Workbench, site: Site) => Promise<void>): Promise<void> {
  const { signal } = new AbortController();
  const bench = await Workbench.open(signal, 1_000);
  try {
    const site = await openSite("same-host", { workers: 1, signal });
    try {
      await run(bench, site);
    } finally {
      await site.close();
    }
  } finally {
    await bench.close();
  }
}

const targetOf = ({ host, port }: Pick<UpstreamService, "host" | "port">, at: number): Target => ({
  ...{ host, port, authority: `web-${at}`, connect: false },
});

function job(targets: readonly Target[], rate: number | null): LoadJob {
  return {
    ...{ protocol: "http1", targets, connections: 4, bodyBytes: 115, rate },
    ...{ seconds: 0.5, warmUpSeconds: 0.1, vary: false },
  };
}

const silent = { counting: () => undefined, counted: () => undefined };

test("processes of load and upstream work together, at a rate and without", async () => {
  await withBench(async (bench, site) => {
    const { services, pid } = await startUpstream(bench, site, { services: 2 });
    assert.equal(new Set(services.map(({ port }) => port)).size, 2);
    assert.ok(pid > 0);
    for (const rate of [null, 500]) {
      const told: string[] = [];
      const result = await runLoad(bench, site, job(services.map(targetOf), rate), {
        counting: async () => void told.push("counting"),
        counted: () => void told.push("counted"),
      });
      assert.deepEqual(told, ["counting", "counted"]);
      assert.deepEqual(result.errors, {});
      assert.ok(result.requests > 0);
      assert.equal(typeof result.lateP99Micros, rate === null ? "object" : "number");
    }
  });
});

test("many services share one port and have loopback addresses of their own", async (t) => {
  if (process.platform !== "linux") {
    t.skip("only Linux has all of 127.0.0.0/8 on its loopback interface");
    return;
  }
  await withBench(async (bench, site) => {
    const options = { services: 300, addressesPerService: 2 };
    const { services } = await startUpstream(bench, site, options);
    assert.equal(new Set(services.map(({ port }) => port)).size, 1);
    assert.equal(new Set(services.flatMap(({ addresses }) => addresses)).size, 600);
    for (const { addresses, port } of [services[0], services[299]].flatMap((one) => one ?? [])) {
      for (const address of addresses) {
        const { body } = await request(`http://${address}:${port}/3`);
        assert.equal(await body.text(), "xxx");
      }
    }
    const tooMany = { services: 1_000, addressesPerService: 1_000 };
    await assert.rejects(startUpstream(bench, site, tooMany), RangeError);
  });
});

test("what the load generator cannot do comes to the caller", async () => {
  await withBench(async (bench, site) => {
    const port = await freePort("127.0.0.1", 0);
    const refused = job([targetOf({ host: "127.0.0.1", port }, 0)], null);
    await assert.rejects(runLoad(bench, site, refused, silent), /no connection to .*ECONNREFUSED/);
    const wrong = { ...refused, connections: 0 };
    await assert.rejects(runLoad(bench, site, wrong, silent), /connections/);
  });
});

test("a caller that fails at a moment makes the load fail", async () => {
  await withBench(async (bench, site) => {
    const { services } = await startUpstream(bench, site, { services: 1 });
    const failing = { ...silent, counting: () => Promise.reject(new Error("no reading")) };
    await assert.rejects(
      runLoad(bench, site, job(services.map(targetOf), null), failing),
      /no reading/,
    );
  });
});

test("an upstream that cannot listen says why", async () => {
  await withBench(async (bench, site) => {
    const elsewhere = { ...site, b: { ...site.b, address: "192.0.2.1" } };
    await assert.rejects(
      startUpstream(bench, elsewhere, { services: 1 }),
      /cannot listen on 192.0.2.1/,
    );
  });
});
