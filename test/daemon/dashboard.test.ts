import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { it } from "node:test";
import { beginDashboard, refuseOpenDashboard } from "../../daemon/dashboard.ts";
import { StartError } from "../../daemon/start-error.ts";
import { configSchema } from "../../src/config/schema.ts";
import { call, keepingLog, tempFolder, testRegistry } from "../registry/setup.ts";

const configOf = (dashboard: object) => configSchema.parse({ dashboard });

it("shows what the registry holds, and takes changes for it", async (t) => {
  const registry = await testRegistry(t);
  await call(registry, "PUT", "/v1/mesh/services/shop/cart", { ports: [{ name: "", port: 80 }] });
  const log = keepingLog();
  const dashboard = await beginDashboard(configOf({ port: 0 }), registry, log);
  assert.ok(dashboard !== null);
  t.after(() => dashboard.close());
  assert.deepEqual(
    log.lines.map(({ message, facts }) => [message, facts?.["url"]]),
    [["the dashboard is served", dashboard.url]],
  );
  const answer = await fetch(`${dashboard.url}api/report`);
  const report = (await answer.json()) as { services: { service: string }[] };
  assert.deepEqual(
    report.services.map(({ service }) => service),
    ["shop/cart"],
  );
  const service = await fetch(`${dashboard.url}api/services/shop/cart`);
  assert.equal(service.status, 200);
});

it("a port that is taken costs the dashboard and nothing else", async (t) => {
  const registry = await testRegistry(t);
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  t.after(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const log = keepingLog();
  assert.equal(await beginDashboard(configOf({ port }), registry, log), null);
  const [line] = log.lines;
  assert.deepEqual([line?.level, line?.facts?.["code"]], ["warn", "EADDRINUSE"]);
  assert.equal(await beginDashboard(configOf({ enabled: "off" }), registry, log), null);
});

it("settings that would open the mesh to strangers, and bad files, are refused with a remedy", async (t) => {
  assert.throws(
    () => refuseOpenDashboard(configOf({ bind: "0.0.0.0" })),
    (error) => {
      return (
        error instanceof StartError &&
        error.isUsage &&
        /usersFile.*TLS|usersFile/.test(error.remedy)
      );
    },
  );
  refuseOpenDashboard(configOf({ bind: "0.0.0.0", enabled: "off" }));
  refuseOpenDashboard(configOf({}));
  const registry = await testRegistry(t);
  const usersFile = join(await tempFolder(t), "users.yaml");
  await writeFile(usersFile, "users: 1\n");
  await assert.rejects(
    beginDashboard(configOf({ port: 0, usersFile }), registry, keepingLog()),
    (error) => {
      return error instanceof StartError && /not started: .*users.yaml: users/.test(error.message);
    },
  );
});
