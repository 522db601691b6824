import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { pathToFileURL } from "node:url";
import { breakEven } from "../../bench/report/break-even.ts";
import { fitText } from "../../bench/report/fit-text.ts";
import { reportHtml } from "../../bench/report/html.ts";
import { spreadOut } from "../../bench/report/line-plot.ts";
import { escapeText, markup } from "../../bench/report/markup.ts";
import { barScale, linearScale, logScale } from "../../bench/report/scale.ts";
import type { BenchResult, Mark } from "../../bench/result/result.ts";
import { Chromium, findChromium } from "./chromium.ts";
import { CONTRASTS, OVERFLOWS, PLOT_TEXTS } from "./page-checks.ts";
import { sampleResult } from "./sample-result.ts";

const EVIL = `</style><script>document.title="owned"</script><img src=x onerror=alert(1)>"'&\u202e`;

/** The same result with a hostile text wherever a text is free. */
function hostileResult(): BenchResult {
  const result = sampleResult();
  const rename = <Row extends { readonly contestant: string }>(rows: readonly Row[]): Row[] =>
    rows.map((row) => ({ ...row, contestant: `${row.contestant}${EVIL}` }));
  const { machine, method } = result;
  return {
    ...result,
    ...{
      command: EVIL,
      date: EVIL,
      version: EVIL,
      commit: EVIL,
      baseline: `${result.baseline}${EVIL}`,
    },
    machine: { ...machine, cpuModel: EVIL, kernel: EVIL, node: EVIL, virtualised: EVIL },
    method: { ...method, site: EVIL },
    versions: { [EVIL]: EVIL },
    contestants: result.contestants.map((one) => ({
      ...one,
      ...{ name: `${one.name}${EVIL}`, version: EVIL, configFiles: [EVIL] },
    })),
    missing: [{ name: EVIL, reason: EVIL }],
    notes: [EVIL],
    results: rename(result.results).map((row) => ({
      ...row,
      ...{ errorKinds: { [EVIL]: 1 }, problems: [EVIL] },
    })),
    idle: rename(result.idle),
    idleConnections: rename(result.idleConnections),
    scale: rename(result.scale).map((row) => ({
      ...row,
      problems: row.value === 100 ? [EVIL] : [],
    })),
  };
}

test("text is escaped in elements and attributes, markup is not escaped twice", () => {
  assert.equal(escapeText(`<a b="c" d='e'>&`), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
  assert.equal(escapeText("a\u0000b\u202ec\u0085d\ne"), "a\ufffdb\ufffdc\ufffdd\ne");
  const inner = markup`<b>${"<"}</b>`;
  assert.equal(
    markup`<p>${inner}${["&", inner]}${null}${1}</p>`.text,
    "<p><b>&lt;</b>&amp;<b>&lt;</b>1</p>",
  );
});

test("scales put values where they belong, and ticks on round numbers", () => {
  const linear = linearScale([0, 47], [0, 100]);
  assert.deepEqual(linear.ticks, [0, 20, 40, 60]);
  assert.equal(linear.at(30), 50);
  const log = logScale([1, 10_000], [0, 100]);
  assert.deepEqual(log.ticks, [1, 10, 100, 1_000, 10_000]);
  assert.equal(log.at(100), 50);
  assert.deepEqual(logScale([0.3, 6], [0, 1]).ticks, [0.5, 1, 2, 5]);
  const bars = barScale(73, [0, 146]);
  assert.deepEqual(bars.ticks, [0, 50]);
  assert.equal(bars.at(73), 146);
  // All the same, or nothing at all, still gives a place.
  assert.ok(Number.isFinite(logScale([5, 5], [0, 1]).at(5)));
  assert.ok(Number.isFinite(linearScale([0, 0], [0, 1]).at(0)));
  assert.ok(Number.isFinite(barScale(0, [0, 1]).at(0)));
});

test("labels are moved apart and stay within the plot", () => {
  assert.deepEqual(spreadOut([10, 50], 11, [0, 100]), [10, 50]);
  assert.deepEqual(spreadOut([50, 50, 50], 11, [0, 100]), [50, 61, 72]);
  assert.deepEqual(spreadOut([98, 99, 100], 11, [0, 100]), [78, 89, 100]);
});

test("names are cut to the room that they have", () => {
  assert.equal(fitText("haproxy pair, mTLS h2", 200, 11), "haproxy pair, mTLS h2");
  assert.equal(fitText("iiiiiiiiii", 40, 11), "iiiiiiiiii");
  assert.match(fitText("MMMMMMMMMM", 40, 11), /^M{1,3}…$/);
  assert.match(fitText("\u5bbf\u4e3b\u4e3b\u4e3b", 40, 11), /^.{1,3}…$/u);
});

test("break-even is where the lines cross, or on which side of the measured it lies", () => {
  const flat = [1, 10, 100].map((containers) => ({ containers, bytes: 50 }));
  const steep = (each: number) =>
    flat.map(({ containers }) => ({ containers, bytes: containers * each }));
  assert.deepEqual(breakEven(flat, steep(2)), { kind: "at", containers: 25, bytes: 50 });
  assert.deepEqual(breakEven(flat, steep(60)), { kind: "below", containers: 1 });
  assert.deepEqual(breakEven(flat, steep(0.1)), { kind: "above", containers: 100 });
  assert.equal(breakEven(flat, []), null);
});

test("the report names machine, command, configuration, what is missing and every contestant", () => {
  const result = sampleResult();
  const page = reportHtml(result);
  const expected = [
    ...[result.command, result.machine.cpuModel, result.machine.kernel, result.commit],
    ...result.contestants.flatMap(({ name, configFiles }) => [name, ...configFiles]),
    ...[result.notes[0] ?? "", "linkerd is missing", result.method.site, "4 requests failed"],
  ];
  for (const one of expected) assert.ok(page.includes(escapeText(one)), one);
  for (const id of ["latency", "cpu", "throughput", "memory", "scale", "tables", "about"]) {
    assert.ok(page.includes(`<section id="${id}"`), id);
  }
});

/** Figures of the headline. */
function tilesOf(result: BenchResult): string[] {
  return [...reportHtml(result).matchAll(/<li><b>([^<]*)<\/b><span>([^<]*)</g)].map(
    ([, figure, meaning]) => `${figure} ${meaning}`,
  );
}

test("across hosts the headline is about the daemons that speak mutual TLS", () => {
  const headlineOf = (result: BenchResult) =>
    /<h2 id="summary">([^<]*)</.exec(reportHtml(result))?.[1] ?? "";
  const result = sampleResult();
  assert.equal(headlineOf(result), "hostmesh against haproxy pair, mTLS h2");
  const results = result.results.map((row) =>
    row.contestant === "hostmesh pair, mTLS h2" ? { ...row, mode: "host" as const } : row,
  );
  const across = headlineOf({ ...result, results });
  assert.equal(across, "hostmesh pair, mTLS h2 against haproxy pair, mTLS h2");
});

test("the headline leaves out what says nothing of the proxies, and warns of what is disturbed", () => {
  const result = sampleResult();
  const tiles = tilesOf(result);
  assert.equal(tiles.length, 4);
  assert.match(tiles[0] ?? "", /^0\.\d\dx to 0\.\d\dx of its CPU time per request, 8 workloads$/);
  // With 100 KiB the load is the limit.
  assert.match(tiles[2] ?? "", /of its throughput, 4 workloads$/);
  assert.match(
    tiles[3] ?? "",
    /^49\.0 MiB PSS of the daemon with 100 idle containers; sidecars 174 to 5,802 MiB$/,
  );
  const mark = (contestant: string, ...marks: readonly Mark[]) => ({
    ...result,
    results: result.results.map((row) => (row.contestant === contestant ? { ...row, marks } : row)),
  });
  const late = tilesOf(mark("haproxy pair, mTLS h2", "late-load", "disturbed"));
  assert.equal(late.length, 3);
  assert.match(late[0] ?? "", /8 workloads; other programs disturbed some of it$/);
  assert.equal(tilesOf(mark("hostmesh", "load-bound")).length, 3);
  assert.equal(tilesOf({ ...result, baseline: null }).length, 0);
});

test("what was not measured has no section", () => {
  const page = reportHtml(
    sampleResult({ results: [], samples: [], contestants: [], baseline: null, scale: [] }),
  );
  assert.ok(page.includes('<section id="memory"'));
  for (const id of ["latency", "cpu", "throughput", "scale", "tables"]) {
    assert.ok(!page.includes(`<section id="${id}"`), id);
  }
});

test("hostile text stays text wherever it stands", () => {
  const page = reportHtml(hostileResult());
  assert.equal(page.match(/<style>/g)?.length, 1);
  assert.doesNotMatch(page, /<script|<img|\u202e/);
});

const program = findChromium();
const withChromium = { skip: program === null ? "needs Chromium" : false };
let browser: Chromium | null = null;
let folder = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "bench-report-"));
  if (program !== null) browser = await Chromium.start(program);
});
after(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens a report with all its tables, at this width and colour scheme. */
async function shown(name: string, result: BenchResult, width: number, scheme: "light" | "dark") {
  assert.ok(browser, "no browser");
  const path = join(folder, `${name}.html`);
  await writeFile(path, reportHtml(result));
  const url = pathToFileURL(path).href;
  await browser.open(url, { width, scheme });
  await browser.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
  return { page: browser, url };
}

for (const width of [1_200, 400]) {
  for (const scheme of ["light", "dark"] as const) {
    test(`at ${width} pixels in ${scheme} everything can be read`, withChromium, async () => {
      const { page } = await shown("whole", sampleResult(), width, scheme);
      const plots = await page.evaluate("document.querySelectorAll('svg.plot').length");
      // Three rates, eight workloads with CPU, five at full load, idle, five dimensions twice.
      assert.equal(plots, 3 + 8 + 5 + 1 + 10);
      assert.deepEqual(await page.evaluate(PLOT_TEXTS), []);
      assert.deepEqual(await page.evaluate(OVERFLOWS), []);
      assert.deepEqual(await page.evaluate(CONTRASTS), []);
    });
  }
}

test("light and dark have different backgrounds", withChromium, async () => {
  const backgrounds = new Set<unknown>();
  for (const scheme of ["light", "dark"] as const) {
    const { page } = await shown("whole", sampleResult(), 1_200, scheme);
    backgrounds.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"));
  }
  assert.equal(backgrounds.size, 2);
});

test("every plot has a title and a description, and ids are unique", withChromium, async () => {
  const { page } = await shown("whole", sampleResult(), 1_200, "light");
  const unnamed = `[...document.querySelectorAll("svg.plot")].filter((svg) =>
    svg.getAttribute("aria-labelledby").split(" ").some((id) => (document.getElementById(id)?.textContent ?? "").length < 10)).length`;
  assert.equal(await page.evaluate(unnamed), 0);
  const twice = `(() => { const ids = [...document.querySelectorAll("[id]")].map((one) => one.id); return ids.filter((id, at) => ids.indexOf(id) !== at); })()`;
  assert.deepEqual(await page.evaluate(twice), []);
});

test(
  "hostile text does nothing in a browser, and nothing leaves the page",
  withChromium,
  async () => {
    const { page, url } = await shown("hostile", hostileResult(), 400, "light");
    assert.match(String(await page.evaluate("document.title")), /^hostmesh bench/);
    assert.equal(await page.evaluate("document.querySelectorAll('script, img, iframe').length"), 0);
    assert.deepEqual(await page.evaluate(OVERFLOWS), []);
    assert.deepEqual(await page.evaluate(PLOT_TEXTS), []);
    const told = page.events.filter(({ method = "" }) =>
      /^(Log\.entryAdded|Runtime\.(consoleAPICalled|exceptionThrown)|Page\.javascriptDialog)/.test(
        method,
      ),
    );
    assert.deepEqual(told, []);
    const requested = page.events.flatMap(({ method, params }) =>
      method === "Network.requestWillBeSent"
        ? [(params as { readonly request: { readonly url: string } }).request.url]
        : [],
    );
    assert.ok(requested.includes(url));
    assert.deepEqual(
      requested.filter((one) => one !== url && !one.startsWith("data:")),
      [],
    );
  },
);

test("the policy of the page lets no script run, whoever brings it in", withChromium, async () => {
  const { page } = await shown("whole", sampleResult(), 400, "light");
  const injected = `(() => { const one = document.createElement("script"); one.textContent = "document.title = 'owned'"; document.body.append(one); return document.title; })()`;
  assert.match(String(await page.evaluate(injected)), /^hostmesh bench/);
  assert.ok(
    page.events.some(({ method }) => method === "Log.entryAdded" || method === "Audits.issueAdded"),
  );
});
