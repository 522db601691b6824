import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { it } from "node:test";
import type { MeshReport } from "../../src/sight/mesh-report.ts";
import { get, skip, temporary, up, upstream } from "../daemon/up-process.ts";
import { Browser } from "../dashboard/server/dashboard-lab.ts";
import { until } from "../helpers/until.ts";

it("the dashboard of `hostmesh up` shows live what the daemon carries", { skip }, async (t) => {
  const dataDir = await temporary();
  const port = await upstream(t);
  const file = join(dataDir, "services.yaml");
  await writeFile(file, `service: {name: web, port: ${port}}\n`);
  const mesh = up(t, dataDir, [file]);
  const { explicit } = await mesh.ready();
  await until(async () => (await get(explicit, "web")) === 200);
  const [, origin = ""] =
    /^dashboard: (http:\/\/127\.0\.0\.1:\d+)\/$/m.exec(mesh.lines.join("\n")) ?? [];
  assert.notEqual(origin, "", mesh.lines.join("\n"));

  const browser = new Browser(origin);
  assert.equal((await browser.open()).role, "editor");
  const page = await browser.live();
  const newest = (): MeshReport | undefined =>
    page.messages.findLast(({ type }) => type === "report")?.report;
  const web = () => newest()?.services.find(({ service }) => service === "default/web");
  await until(() => (web()?.requests ?? 0) > 0 && web()?.success === 1);
  const before = web()?.requests ?? 0;
  assert.equal(await get(explicit, "web"), 200);
  await until(() => (web()?.requests ?? 0) > before);
  assert.equal(web()?.endpoints[0]?.port, port);
  assert.deepEqual(
    newest()?.hosts.map(({ host, state }) => [host, state]),
    [["node-a", "reporting"]],
  );

  const host = await browser.call("GET", "/api/hosts/node-a");
  assert.equal(host.body.report?.host, "node-a", JSON.stringify(host.body).slice(0, 300));
  page.say({ type: "tap", filter: { destination: "default/web" } });
  const events = () =>
    page.messages.filter(({ type, item }) => type === "tap" && item.type === "event");
  await until(async () => {
    assert.equal(await get(explicit, "web"), 200);
    return events().length > 0;
  });
  const { event } = events()[0].item;
  assert.deepEqual([event.destination, event.status, event.host], ["default/web", 200, "node-a"]);

  mesh.child.kill("SIGTERM");
  await until(() => page.closed !== null);
  assert.equal(page.closed?.code, 1001);
  assert.equal(await mesh.exited, 0);
});
