import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";
import { buildPage } from "../../src/dashboard/build-page.ts";
import { until } from "../helpers/until.ts";
import { TOKEN } from "./mock-server.ts";
import { BUILT, PageLab, seriousFindings, withChromium } from "./page-lab.ts";

let lab: PageLab;

before(async () => {
  if (!withChromium.skip) lab = await PageLab.start({ past: 3 });
});
after(async () => {
  if (!withChromium.skip) await lab[Symbol.asyncDispose]();
});

test("the built page is what its sources give", async () => {
  const folder = await mkdtemp(join(tmpdir(), "page-built-"));
  try {
    await buildPage(folder);
    const names = (await readdir(folder)).sort();
    assert.deepEqual(names, (await readdir(BUILT)).sort());
    for (const name of names) {
      const [fresh, kept] = [await readFile(join(folder, name)), await readFile(join(BUILT, name))];
      assert.ok(fresh.equals(kept), `${name} is old: run \`npm run page\``);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test("the page is small, loads nothing from elsewhere and has no markup that its policy forbids", async () => {
  const html = await readFile(join(BUILT, "index.html"), "utf8");
  assert.doesNotMatch(html, /style=|<style|\son\w+=|https?:/);
  assert.deepEqual(
    [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, url]) => url),
    ["data:,", "./page.js", "./page.css"],
  );
  const bytes = gzipSync(await readFile(join(BUILT, "page.js"))).length;
  assert.ok(bytes < 80_000, `page.js has ${bytes} bytes compressed`);
});

test("light and dark differ, and the choice is kept", withChromium, async () => {
  const page = await lab.open("#/overview", { colorScheme: "light" });
  const ground = () => page.evaluate("getComputedStyle(document.documentElement).backgroundColor");
  await page.getByRole("button", { name: "Use dark colours" }).click();
  const dark = await ground();
  await page.reload();
  await page.getByRole("button", { name: "Use light colours" }).waitFor();
  assert.equal(await ground(), dark);
  await page.getByRole("button", { name: "Use light colours" }).click();
  assert.notEqual(await ground(), dark);
  await page.context().close();
});

test(
  "by keys alone: past the header, to the graph, along its edges, into a service",
  withChromium,
  async () => {
    const page = await lab.open("#/overview");
    await page.getByRole("heading", { name: "Hosts" }).waitFor();
    const press = (key: string) => page.keyboard.press(key);
    const focused = () => page.evaluate("document.activeElement.textContent") as Promise<string>;
    await press("Tab");
    assert.equal(await focused(), "Skip to the content");
    await press("Enter");
    assert.equal(await page.evaluate("document.activeElement.id"), "content");
    for (let at = 0; at < 20 && (await focused()) !== "Graph"; at++) await press("Shift+Tab");
    await press("Enter");
    const graph = page.getByRole("application");
    await graph.waitFor();
    assert.equal(await page.evaluate("document.activeElement.id"), "content");
    await graph.focus();
    await press("Home");
    await press("ArrowRight");
    await page.locator('canvas[data-rests="true"]').waitFor();
    const said = page.locator("[data-said]");
    await until(async () => /called by/.test((await said.textContent()) ?? ""), { what: "words" });
    const [first] = ((await said.textContent()) ?? "").split(":");
    await press("ArrowRight");
    await until(async () => !(await said.textContent())?.startsWith(`${first}:`), {
      what: "a step",
    });
    const [second] = ((await said.textContent()) ?? "").split(":");
    await press("Enter");
    await page.getByRole("heading", { level: 1, name: second ?? "" }).waitFor();
    await page.context().close();
  },
);

test("a table is sorted by its heads", withChromium, async () => {
  const page = await lab.openView("#/services", "10 services");
  const first = () => page.locator("tbody tr:first-child td:first-child").textContent();
  assert.equal(await first(), "data/postgres");
  await page.getByRole("button", { name: "Requests/s" }).press("Enter");
  assert.equal(await first(), "shop/frontend");
  const head = page.getByRole("columnheader", { name: "Requests/s" });
  assert.equal(await head.getAttribute("aria-sort"), "descending");
  await page.getByRole("searchbox", { name: "Find a service" }).fill("paym");
  await page.getByText("1 service", { exact: true }).waitFor();
  assert.equal(await first(), "shop/payments");
  await page.context().close();
});

test(
  "a node of the graph is chosen by the pointer, and shows its figures",
  withChromium,
  async () => {
    const page = await lab.openView("#/graph?focus=shop%2Fcart", "Show all, not only shop/cart");
    await page.locator('canvas[data-rests="true"]').waitFor();
    const side = page.getByRole("complementary", { name: "Chosen" });
    await side.getByRole("heading", { name: "shop/cart" }).waitFor();
    const box = (await page.locator("canvas").boundingBox())!;
    // Where nothing is, nothing is chosen.
    await page.mouse.click(box.x + 3, box.y + box.height - 3);
    await side.getByText("Choose a service or an edge").waitFor();
    // The five nodes stand somewhere: the pointer goes over a grid until it is over something.
    const found = await page.evaluate(`(() => {
    const canvas = document.querySelector("canvas");
    const box = canvas.getBoundingClientRect();
    for (let y = box.top + 10; y < box.bottom; y += 8) {
      for (let x = box.left + 10; x < box.right; x += 8) {
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y }));
        if (canvas.classList.contains("is-over")) return { x, y };
      }
    }
    return null;
  })()`);
    const { x, y } = found as { x: number; y: number };
    await page.mouse.click(x, y);
    const chosen = side.getByRole("heading", { level: 2 });
    await chosen.waitFor();
    await side.getByText("Requests a second").waitFor();
    await page.context().close();
  },
);

test(
  "the slider shows the text that it writes, and writes it once it is confirmed",
  withChromium,
  async () => {
    const page = await lab.open("#/services/shop/reviews");
    const slider = page.getByRole("slider", { name: "v2" });
    await slider.focus();
    for (let at = 0; at < 15; at++) await page.keyboard.press("ArrowRight");
    assert.equal(await page.getByRole("slider", { name: "v1" }).inputValue(), "75");
    await page.locator(".changed").first().waitFor();
    const changed = await page.locator(".changed").allTextContents();
    assert.deepEqual(
      changed.map((line) => line.trim()),
      ["weight: 75", "weight: 25"],
    );
    assert.equal(lab.server.written.length, 0);
    await page.getByRole("button", { name: "Write …" }).click();
    const dialog = page.getByRole("dialog", { name: "Write the traffic split?" });
    assert.deepEqual(await seriousFindings(page), []);
    await dialog.getByRole("button", { name: "Back" }).click();
    assert.equal(lab.server.written.length, 0);
    await page.getByRole("button", { name: "Write …" }).click();
    await dialog.getByRole("button", { name: "Write it" }).click();
    await until(() => lab.server.written.length === 1, { what: "the write" });
    assert.deepEqual(lab.server.written[0], {
      backends: [
        { name: "v1", weight: 75 },
        { name: "v2", weight: 25 },
      ],
      revision: 42,
    });
    await page.locator(".changed").first().waitFor({ state: "detached" });
    assert.equal(await page.getByRole("slider", { name: "v2" }).inputValue(), "25");
    // Somebody else was faster: nothing is written, and the reader is told.
    lab.server.refusal = { status: 409, message: "it was changed meanwhile" };
    await page.getByRole("slider", { name: "v2" }).press("ArrowLeft");
    await page.getByRole("button", { name: "Write …" }).click();
    await dialog.getByRole("button", { name: "Write it" }).click();
    await page.getByRole("alert").getByText("it was changed meanwhile").waitFor();
    lab.server.refusal = null;
    await page.getByRole("button", { name: "Discard" }).click();
    // Where the registry only reads, the text is shown to be applied elsewhere.
    lab.server.isWritable = false;
    await page.reload();
    await page.getByRole("slider", { name: "v2" }).press("ArrowRight");
    await page.getByText("This is what to apply there").waitFor();
    assert.equal(await page.getByRole("button", { name: "Write …" }).count(), 0);
    lab.server.isWritable = true;
    await page.context().close();
  },
);

test(
  "the tap shows requests, what was left out, and stops when it is ended or paused",
  withChromium,
  async () => {
    const page = await lab.openView("#/tap?destination=shop%2Freviews", "shown as [redacted]");
    await page.getByRole("combobox", { name: "Headers" }).selectOption("yes");
    await page.getByRole("button", { name: "Start" }).click();
    await until(() => lab.server.taps.length === 1, { what: "the tap" });
    assert.deepEqual(lab.server.taps, [{ destination: "shop/reviews", headers: true }]);
    lab.server.tap(12);
    await page.getByText("12 requests seen, 7 left out").waitFor();
    assert.equal(await page.locator(".tap > li").count(), 12);
    await page.locator(".tap summary").first().click();
    await page.getByText("authorization: [redacted]").first().waitFor();
    assert.deepEqual(await seriousFindings(page), []);
    await page.getByRole("button", { name: "Pause" }).click();
    lab.server.tap(3);
    await page.getByText("paused").waitFor();
    assert.equal(await page.locator(".tap > li").count(), 12);
    await page.getByRole("button", { name: "Go on" }).click();
    await page.getByText("15 requests seen").waitFor();
    for (let at = 0; at < 30; at++) lab.server.tap(20);
    await page.getByText("615 requests seen").waitFor();
    assert.equal(await page.locator(".tap > li").count(), 200);
    lab.server.endTaps(null);
    await page.getByRole("alert").getByText("The tap has ended: its time is over").waitFor();
    await page.getByRole("button", { name: "End" }).click();
    await until(() => lab.server.taps.length === 0, { what: "the end of the tap" });
    await page.context().close();
  },
);

test(
  "figures change with each report, and what is old says so until the connection is back",
  withChromium,
  async () => {
    await using own = await PageLab.start({ past: 3 });
    const page = await own.open("#/tap");
    await page.getByRole("button", { name: "Start" }).click();
    await until(() => own.server.taps.length === 1, { what: "the tap" });
    await page.getByRole("link", { name: "Overview" }).click();
    const rate = page.locator(".tile b").first();
    const before = await rate.textContent();
    for (let at = 0; at < 10; at++) own.server.tick();
    await until(async () => (await rate.textContent()) !== before, { what: "another rate" });
    assert.equal(await page.locator("[data-stale]").count(), 0);
    own.server.cut();
    await page.getByText("The connection is lost; next attempt").waitFor();
    assert.deepEqual(await seriousFindings(page), []);
    // It comes again by itself.
    await page.locator("[data-stale]").waitFor({ state: "detached" });
    await page.getByText("Live", { exact: true }).waitFor();
    assert.equal(own.server.clients, 1);
    await page.context().close();
  },
);

test("a tap goes on over a lost connection", withChromium, async () => {
  await using own = await PageLab.start({ past: 3 });
  const page = await own.open("#/tap");
  await page.getByRole("button", { name: "Start" }).click();
  await until(() => own.server.taps.length === 1, { what: "the tap" });
  own.server.cut();
  await until(() => own.server.taps.length === 0, { what: "the loss" });
  await until(() => own.server.taps.length === 1, { what: "the tap again" });
  own.server.tap(2);
  await page.getByText("2 requests seen").waitFor();
  await page.context().close();
});

test(
  "whoever must log in does so with a token that is nowhere but in the body",
  withChromium,
  async () => {
    await using own = await PageLab.start({ isLoginNeeded: true, role: "viewer" });
    const page = await own.open("#/services/shop/reviews");
    assert.deepEqual(await seriousFindings(page), []);
    const field = page.getByLabel("Token");
    await field.fill("wrong");
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByRole("alert").getByText("Nobody has this token.").waitFor();
    await field.fill(TOKEN);
    await page.getByRole("button", { name: "Log in" }).click();
    await page.getByText("Changing it needs the role editor.").waitFor();
    assert.ok(await page.getByRole("slider", { name: "v2" }).isDisabled());
    assert.ok(own.server.seen.every((line) => !line.includes(TOKEN)));
    const kept = await page.evaluate(
      "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])",
    );
    assert.doesNotMatch(String(kept), new RegExp(TOKEN));
    await page.getByRole("link", { name: "Tap", exact: true }).click();
    await page.getByText("your role may not see them").waitFor();
    // When the session ends, the page asks again.
    own.server.endSession();
    await page.getByLabel("Token").waitFor();
    await page.context().close();
  },
);

test("who wants no motion sees the graph only once it rests", withChromium, async () => {
  const page = await lab.open("#/graph", { reducedMotion: "reduce" });
  await page.locator('canvas[data-rests="true"]').waitFor();
  const drawn = await page.evaluate(`(() => {
    const canvas = document.querySelector("canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value !== 0);
  })()`);
  assert.equal(drawn, true);
  await page.context().close();
});
