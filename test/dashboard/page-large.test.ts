import assert from "node:assert/strict";
import { test } from "node:test";
import type { Page } from "playwright-core";
import { until } from "../helpers/until.ts";
import { largeReport } from "./mock-mesh.ts";
import { PageLab, seriousFindings, withChromium } from "./page-lab.ts";

/** CPU time of the page's thread for one report, and for one key. Others on the machine do not count in it. */
const MOST_UPDATE_MS = 200;
const MOST_INPUT_MS = 100;
/** More elements than these are slow to lay out. */
const MOST_ELEMENTS = 3_000;
const UPDATES = 5;

/** CPU time that an action takes of the page's thread, in ms. */
async function cpuMs(page: Page, action: () => Promise<void>): Promise<number> {
  const session = await page.context().newCDPSession(page);
  await session.send("Performance.enable", { timeDomain: "threadTicks" });
  const read = async () => {
    const { metrics } = await session.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "TaskDuration")?.value ?? 0;
  };
  const before = await read();
  await action();
  const after = await read();
  await session.detach();
  return (after - before) * 1_000;
}

const frame = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))";

/** Sends reports and waits until each is shown. */
async function update(page: Page, lab: PageLab): Promise<void> {
  for (let at = 0; at < UPDATES; at++) {
    const seen = await page.evaluate("performance.getEntriesByName('report shown').length");
    lab.server.tick();
    const isShown = async () =>
      (await page.evaluate("performance.getEntriesByName('report shown').length")) !== seen;
    await until(isShown, { what: "the report" });
    await page.evaluate(frame);
  }
}

test("with 500 services and 2,000 edges", withChromium, async (t) => {
  await using lab = await PageLab.start({ report: (turn) => largeReport(turn), past: 2 });
  // The graph is laid out once, for all of it.
  const page = await lab.open("#/graph");
  const resting = page.locator('canvas[data-rests="true"]');
  await resting.waitFor({ timeout: 45_000 });

  const takesReports = async () => {
    const elements = await page.evaluate("document.querySelectorAll('*').length");
    assert.ok(Number(elements) < MOST_ELEMENTS, `${elements} elements`);
    const spent = (await cpuMs(page, () => update(page, lab))) / UPDATES;
    assert.ok(spent < MOST_UPDATE_MS, `${Math.round(spent)} ms for one report`);
  };
  await t.test("the graph takes each report quickly", takesReports);

  await t.test("keys are answered quickly", async () => {
    await page.getByRole("application").focus();
    const keys = ["ArrowRight", "ArrowDown", "ArrowRight", "+", "-"];
    const spent = await cpuMs(page, async () => {
      for (const key of keys) {
        await page.keyboard.press(key);
        await page.evaluate(frame);
      }
    });
    const each = spent / keys.length;
    assert.ok(each < MOST_INPUT_MS, `${Math.round(each)} ms for one key`);
  });

  await t.test("what is typed narrows the graph", async () => {
    await page.getByText("500 services and callers, 2,000 edges").waitFor();
    await page.getByRole("searchbox", { name: "Find" }).fill("service-41");
    await page.getByText("500 services and callers").waitFor({ state: "detached" });
    await resting.waitFor();
    assert.deepEqual(await seriousFindings(page), []);
  });

  for (const [hash, ready] of [
    ["#/graph?as=table", ".pager"],
    ["#/services", ".pager"],
    ["#/overview", ".spark"],
  ] as const) {
    await t.test(`${hash} takes each report quickly`, async () => {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
      await page.locator(ready).first().waitFor();
      await takesReports();
    });
  }
  await page.context().close();
});
