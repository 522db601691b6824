import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { DataWorkload } from "../../src/core/snapshot.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

const ME: DataWorkload = {
  slot: 0,
  key: "default/me",
  name: "me",
  namespace: "default",
  serviceAccount: "default",
  addresses: ["127.0.0.1"],
};
const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function setUp(options: Parameters<typeof planeLab>[0]) {
  const lab = await planeLab(options);
  const open = async () => {
    const client = await RawClient.open(lab.port);
    closers.push(() => client.close());
    return client;
  };
  closers.push(() => lab.close());
  return { lab, open };
}

describe("a connection that is refused", () => {
  it("is told of its workload's quota, and recorded", async () => {
    const config = { limits: { workloadConnections: 1 } };
    const { lab, open } = await setUp({ config, workloads: [ME] });
    await open();
    const second = await open();
    assert.match(await second.untilEnd(), /^HTTP\/1\.1 503 [^]*Error: QUOTA_CONNECTIONS\r\n/);
    assert.deepEqual(
      lab.facts.map(({ error, source }) => [error, source?.key]),
      [["QUOTA_CONNECTIONS", "default/me"]],
    );
    assert.equal(lab.quotas.connections(0), 1);
  });

  it("is told of the worker's limit, and recorded", async () => {
    const { lab, open } = await setUp({ config: { limits: { connections: 1 } } });
    await open();
    const second = await open();
    assert.match(await second.untilEnd(), /^HTTP\/1\.1 503 [^]*Error: CONNECTION_LIMIT\r\n/);
    assert.equal(lab.facts[0]?.error, "CONNECTION_LIMIT");
  });

  it("is a loop through an endpoint at another address of the host", async () => {
    const { lab, open } = await setUp({});
    lab.services(service("looper", [endpoint(lab.port, { address: "127.0.0.1" })]));
    lab.services(service("looper", [endpoint(lab.port, { address: "127.0.0.2" })]));
    const client = await open();
    client.send("GET / HTTP/1.1\r\nHost: looper\r\n\r\n");
    await client.until(/^HTTP\/1\.1 508 [^]*Error: LOOP\r\n/);
    await until(() => lab.facts.length === 1);
  });
});
