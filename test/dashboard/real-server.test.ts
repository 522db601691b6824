import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Page } from "playwright-core";
import { freePort } from "../../daemon/free-port.ts";
import type { ConfigInput } from "../../src/config/schema.ts";
import { makeToken } from "../../src/dashboard/server/tokens.ts";
import { up } from "../daemon/up-process.ts";
import { RoutingStage } from "../e2e/routing-stage.ts";
import { until } from "../helpers/until.ts";
import { Pages, seriousFindings, withChromium } from "./page-lab.ts";

/** The built page, as the registry of a running `hostmesh up` serves it, with traffic of its daemon. */
const RESOURCES = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - route:
        - { destination: { host: reviews, subset: v1 }, weight: 100 }
        - { destination: { host: reviews, subset: v2 }, weight: 0 }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: lonely }
spec:
  hosts: [reviews.example.com]
  gateways: [gate]
  http:
    - route: [{ destination: { host: reviews } }]
`;

const users = ["eve", "vic"] as const;

async function usersFile(t: TestContext) {
  const folder = await mkdtemp(join(tmpdir(), "page-users-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const made = await Promise.all(users.map((name) => makeToken(name)));
  const roles = { eve: "editor", vic: "viewer" };
  const lines = users.map(
    (name, at) => `  - {name: ${name}, role: ${roles[name]}, hash: "${made[at]?.hash}"}\n`,
  );
  const path = join(folder, "users.yaml");
  await writeFile(path, `users:\n${lines.join("")}`);
  return { path, eve: made[0]?.token ?? "", vic: made[1]?.token ?? "" };
}

async function login(page: Page, token: string): Promise<void> {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Log in" }).click();
}

const lonely = "#/config/VirtualService/default/lonely";

test("the page of a real registry", withChromium, async (t) => {
  const { path, eve, vic } = await usersFile(t);
  const port = await freePort("127.0.0.1", 0);
  const settings: ConfigInput = { dashboard: { port, usersFile: path }, workers: 1 };
  const stage = await RoutingStage.start(t, settings);
  await stage.versions("reviews", "v1", "v2");
  await stage.workload("front", "127.0.0.78");
  await stage.apply(RESOURCES);
  const from = "127.0.0.78";
  assert.deepEqual(await stage.tally("reviews", 20, { from }), { "reviews-v1": 20 });
  const pages = new Pages(`http://127.0.0.1:${port}`);
  const page = await pages.open("#/services/default/reviews");

  await t.test("an editor logs in, with the right token only", async () => {
    await login(page, `${eve}x`);
    await page.getByRole("alert").getByText("Nobody has this token.").waitFor();
    await login(page, eve);
    await page.getByRole("heading", { level: 1, name: "default/reviews" }).waitFor();
    await page.getByText("VirtualService default/reviews").first().waitFor();
    assert.deepEqual(await seriousFindings(page), []);
  });

  await t.test("the slider writes the VirtualService that requests follow", async () => {
    await page.getByRole("slider", { name: "reviews/v2" }).press("End");
    await page.getByRole("button", { name: "Write …" }).click();
    await page.getByRole("button", { name: "Write it" }).click();
    await page.getByRole("button", { name: "Write it" }).waitFor({ state: "detached" });
    await stage.settled();
    assert.deepEqual(await stage.tally("reviews", 20, { from }), { "reviews-v2": 20 });
    const { stdout } = await stage.hostmesh("get", "vs", "reviews", "-o", "json");
    const weights = [...stdout.matchAll(/"weight": (\d+)/g)].map(([, weight]) => weight);
    assert.deepEqual(weights, ["0", "100"], stdout);
    const history = await stage.hostmesh("history", "vs/reviews");
    assert.match(history.stdout, /eve at 127\.0\.0\.1, dashboard/);
    const back = await stage.hostmesh("rollback", "vs/reviews");
    assert.equal(back.code, 0, back.stderr);
    await stage.settled();
    assert.deepEqual(await stage.tally("reviews", 20, { from }), { "reviews-v1": 20 });
  });

  // A second page of the same login: the first one stays where it is.
  const second = await page.context().newPage();

  await t.test("a tap shows a request that really went", async () => {
    await second.goto(`${pages.base}/#/tap?destination=default%2Freviews`);
    await second.getByRole("combobox", { name: "Headers" }).selectOption("yes");
    await second.getByRole("button", { name: "Start" }).click();
    const headers = { authorization: "Bearer secret" };
    const line = second.locator(".tap > li").first();
    await until(
      async () => {
        await stage.ask("reviews/seen?by=tap", { from, headers });
        return (await line.count()) > 0;
      },
      { what: "a request", timeoutMs: 20_000 },
    );
    assert.match((await line.textContent()) ?? "", /GET reviews\/seen/);
    await line.locator("summary").click();
    const facts = (await line.textContent()) ?? "";
    assert.match(facts, /default\/front → default\/reviews/);
    assert.match(facts, /authorization: \[redacted\]/i);
    assert.doesNotMatch(facts, /Bearer|secret/);
    await second.getByRole("button", { name: "End" }).click();
  });

  await t.test("the configuration shows what was warned of", async () => {
    await second.evaluate(`location.hash = ${JSON.stringify(lonely)}`);
    await second.getByText("there are no gateways, only mesh").first().waitFor();
    await second.getByRole("link", { name: "Overview" }).click();
    await second.getByText("node-a").first().waitFor();
    await second.getByText("default/reviews").first().waitFor();
    await second.close();
  });

  await t.test("a viewer sees the same, and changes nothing", async () => {
    const other = await pages.open("#/services/default/reviews");
    await login(other, vic);
    await other.getByText("Changing it needs the role editor.").waitFor();
    assert.ok(await other.getByRole("slider", { name: "reviews/v2" }).isDisabled());
    const put = `(async () => {
      const { csrf } = await (await fetch("/api/session")).json();
      const headers = { "x-hostmesh-csrf": csrf, "content-type": "application/json" };
      const body = JSON.stringify({ revision: 3, backends: [{ name: "reviews/v1", weight: 0 }, { name: "reviews/v2", weight: 1 }] });
      return (await fetch("/api/services/default/reviews/split", { method: "PUT", headers, body })).status;
    })()`;
    assert.equal(await other.evaluate(put), 403);
    await other.getByRole("link", { name: "Tap", exact: true }).click();
    await other.getByText("your role may not see them").waitFor();
    await other.context().close();
  });

  await t.test(
    "what others changed comes to the page by itself, and it never complained",
    async () => {
      const slider = page.getByRole("slider", { name: "reviews/v2" });
      await until(async () => (await slider.inputValue()) === "0", { timeoutMs: 20_000 });
      // Of the wrong token, and of what a viewer may not write.
      const complaints = pages.complaints.filter((line) => !/status of 40[13]/.test(line));
      assert.deepEqual(complaints, []);
    },
  );

  await t.test("when the registry was restarted the page comes back by itself", async () => {
    stage.mesh.child.kill("SIGTERM");
    await page.getByText("The connection is lost; next attempt").waitFor();
    assert.equal(await stage.mesh.exited, 0);
    await up(t, stage.folder, [], settings).ready();
    // Logins are kept in memory only.
    await login(page, eve);
    await page.getByText("Live", { exact: true }).waitFor();
    await page.getByText("node-a").first().waitFor();
  });
  await page.context().close();
});
