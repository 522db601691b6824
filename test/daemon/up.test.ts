import assert from "node:assert/strict";
import { rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { until } from "../helpers/until.ts";
import { get, runs, skip, temporary, up, upstream } from "./up-process.ts";

test("one command serves what its file declares, follows the file, and stops in order", {
  skip,
}, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t);
  const file = join(dataDir, "services.yaml");
  const write = async (text: string) => {
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
  };
  await write(
    `service: {name: web, port: ${port}}\n---\nservices: [{name: api}]\nendpoints: [{id: api-1, service: api, address: 127.0.0.1, port: ${port}}]\n`,
  );
  const mesh = up(t, dataDir, [file]);
  const { explicit, ready } = await mesh.ready();
  await until(async () => (await get(explicit, "web")) === 200);
  await until(async () => (await get(explicit, "api")) === 200);
  const readiness = await fetch(`http://127.0.0.1:${ready}/healthz/ready`);
  assert.equal(readiness.status, 200, await readiness.text());

  await write("service: {name: web\n");
  await until(() => mesh.lines.some((line) => line.includes("not applied")));
  assert.equal(await get(explicit, "web"), 200, "a bad edit changes nothing");
  await write(`services: [{name: shop, port: ${port}}]\n`);
  await until(async () => (await get(explicit, "shop")) === 200);
  await until(async () => (await get(explicit, "web")) !== 200, { what: "the removal of web" });
  await until(async () => (await get(explicit, "api")) !== 200, { what: "the removal of api" });

  mesh.child.kill("SIGHUP");
  await until(() => mesh.lines.some((line) => line.includes("SIGHUP")));
  const [generation = 0] = mesh.generations();
  mesh.child.kill("SIGTERM");
  assert.equal(await mesh.exited, 0);
  assert(!runs(generation));

  // What left the file while nobody watched is removed at the next start.
  await write("services: []\n");
  const again = up(t, dataDir, [file]);
  const second = await again.ready();
  await until(async () => (await get(second.explicit, "shop")) === 404);
});

test("a request in flight survives the stop", { skip }, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t, 500);
  const mesh = up(t, dataDir);
  const { explicit, registry, admin } = await mesh.ready();
  const body = JSON.stringify({ Name: "slow", Port: port });
  await fetch(`${registry}/v1/agent/service/register`, { method: "PUT", body });
  await until(async () => (await get(explicit, "slow")) === 200);
  const inFlight = get(explicit, "slow");
  await until(async () => {
    const stats = await (await fetch(`http://127.0.0.1:${admin}/stats`)).text();
    return /"inFlight": 1/.test(stats);
  });
  mesh.child.kill("SIGINT");
  assert.equal(await inFlight, 200);
  assert.equal(await mesh.exited, 0);
});
