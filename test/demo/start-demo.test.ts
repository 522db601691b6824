import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { startDemo } from "../../daemon/demo/start-demo.ts";
import { loadConfig } from "../../src/config/load.ts";
import type { RunningRegistry } from "../../src/registry/registry.ts";
import { startTestRegistry } from "../helpers/registry.ts";

const folder = mkdtempSync(join(tmpdir(), "hostmesh-start-demo-"));
/** Port 1 of loopback stands for a proxy that is not there: the programs start all the same. */
const config = loadConfig({
  env: {},
  flags: { host: "here", dataDir: folder, ports: { explicit: 1 } },
});
let registry: RunningRegistry;

before(async () => {
  registry = await startTestRegistry({
    dataDir: folder,
    virtualCidr6: "",
    balancer: { policy: "peak-ewma", slowStartMs: 0 },
  });
});
after(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

async function endpoints(): Promise<{ service: string; port: number; address: string }[]> {
  const answer = await fetch(`${registry.url}/v1/mesh/endpoints`);
  return JSON.parse(await answer.text());
}

async function resources(): Promise<{ kind: string; name: string; warnings: string[] }[]> {
  const answer = await fetch(`${registry.url}/v1/mesh/resources`);
  return JSON.parse(await answer.text());
}

describe("the demo without containers", () => {
  it("registers what it starts, and takes it back at the end", async () => {
    const demo = await startDemo({
      config,
      registryUrl: registry.url,
      log: () => {},
      privileged: false,
    });
    const found = await endpoints();
    assert.deepEqual(found.map(({ service }) => service).sort(), [
      "catalog",
      "catalog",
      "front",
      "store",
      "store",
      "ticker",
    ]);
    const split = await resources();
    assert.deepEqual(split.map(({ kind }) => kind).sort(), ["DestinationRule", "VirtualService"]);
    assert.deepEqual(
      split.flatMap(({ name, warnings }) => [name, ...warnings]),
      ["hmdemo-store", "hmdemo-store"],
    );
    for (const { service, address, port } of found) {
      assert.equal(address, "127.0.0.1");
      if (service !== "catalog") continue;
      const answer = await fetch(`http://127.0.0.1:${port}/`);
      assert.equal(answer.status, 200);
    }
    const state = JSON.parse(readFileSync(join(folder, "demo.json"), "utf8"));
    assert.equal(state.owner.pid, process.pid);
    assert.equal(state.processes.length, 7);
    assert.match(demo.describe(), /^Look at the dashboard's page: Overview names catalog-slow/m);
    assert.match(demo.describe(), /^Nothing is captured here/);
    assert.match(demo.describe(), /curl -x http:\/\/127\.0\.0\.1:1 http:\/\/front\//);

    await demo.stop();
    assert.deepEqual(await endpoints(), []);
    assert.deepEqual(await resources(), []);
    assert.equal(existsSync(join(folder, "demo.json")), false);
    for (const { pid } of state.processes) assert.throws(() => process.kill(pid, 0), /ESRCH/);
  });

  it("leaves nothing behind when it cannot start", async () => {
    const failing = startDemo({
      config,
      registryUrl: "http://127.0.0.1:1",
      log: () => {},
      privileged: false,
    });
    await assert.rejects(failing, /the demo application could not be started/);
    assert.equal(existsSync(join(folder, "demo.json")), false);
  });
});
