import assert from "node:assert/strict";
import { test } from "node:test";
import { fit, zoom } from "../../src/dashboard/page/graph/camera.ts";
import { Layout } from "../../src/dashboard/page/graph/layout.ts";
import { graphOf, layersOf } from "../../src/dashboard/page/graph/model.ts";
import { alertsOf } from "../../src/dashboard/page/model/alerts.ts";
import {
  formatBytes,
  formatCount,
  formatMs,
  formatPercent,
  formatRate,
  formatSpan,
} from "../../src/dashboard/page/model/format.ts";
import { describeSecurity } from "../../src/dashboard/page/model/health.ts";
import { endpointSeriesOf, History, MESH } from "../../src/dashboard/page/model/history.ts";
import { hrefOf, parseRoute } from "../../src/dashboard/page/model/route.ts";
import { endpointVerdicts } from "../../src/dashboard/page/model/slow-endpoint.ts";
import { setPercent, toPercents } from "../../src/dashboard/page/model/weights.ts";
import { largeReport, START_MS, shopReport } from "./mock-mesh.ts";

const call = (from: string, to: string) => ({ from, to });
const sumOf = (backends: readonly { weight: number }[]) =>
  backends.reduce((sum, { weight }) => sum + weight, 0);

test("numbers are written with the digits that matter", () => {
  assert.deepEqual([0, 7, 1_234, 12_345, 3_400_000].map(formatCount), [
    "0",
    "7",
    "1,234",
    "12.3k",
    "3.4M",
  ]);
  assert.deepEqual([0, 0.01, 3.14, 42].map(formatRate), ["0", "<0.1", "3.1", "42"]);
  assert.deepEqual([null, 1.25, 42.4, 1_500].map(formatMs), ["–", "1.3 ms", "42 ms", "1.50 s"]);
  assert.deepEqual([0, 1023, 2048].map(formatBytes), ["0 B", "1023 B", "2.0 KiB"]);
  assert.deepEqual([5_000, 125_000, 7_260_000, 90_000_000].map(formatSpan), [
    "5 s",
    "2 min",
    "2 h 1 min",
    "1 d 1 h",
  ]);
});

test("100 % is only said of what never failed", () => {
  assert.equal(formatPercent(1), "100 %");
  assert.equal(formatPercent(0.999999), "99.99 %");
  assert.equal(formatPercent(0.871), "87 %");
  assert.equal(formatPercent(null), "–");
});

test("an address says the same after it was written and read, whatever is in its names", () => {
  for (const name of ["shop/reviews", "passthrough", "a b/ü?#%/c"]) {
    const href = hrefOf("services", name, { focus: "x/y z", empty: "" });
    assert.deepEqual(parseRoute(href), { view: "services", name, query: { focus: "x/y z" } });
  }
  assert.equal(parseRoute("#/nowhere/%E0%A4%A").view, "overview");
  assert.equal(parseRoute("").view, "overview");
});

test("weights become whole percents whose sum is 100", () => {
  const three = ["a", "b", "c"].map((name) => ({ name, weight: 1 }));
  assert.deepEqual(
    toPercents(three).map(({ weight }) => weight),
    [34, 33, 33],
  );
  assert.deepEqual(
    toPercents(three.map(({ name }) => ({ name, weight: 0 }))).map(({ weight }) => weight),
    [34, 33, 33],
  );
});

test("a backend gets what it is given and the others keep their proportions, at every step", () => {
  const backends = [
    { name: "a", weight: 60 },
    { name: "b", weight: 30 },
    { name: "c", weight: 10 },
  ];
  for (let percent = 0; percent <= 100; percent++) {
    const changed = setPercent(backends, "c", percent);
    assert.equal(changed[2]?.weight, percent);
    assert.equal(sumOf(changed), 100);
    const [a = { weight: 0 }, b = { weight: 0 }] = changed;
    assert.ok(Math.abs(a.weight - 2 * b.weight) <= 2, `${a.weight} and ${b.weight} at ${percent}`);
  }
  assert.deepEqual(setPercent([{ name: "a", weight: 3 }], "a", 10), [{ name: "a", weight: 100 }]);
  assert.equal(sumOf(setPercent(setPercent(backends, "a", 100), "a", 40)), 100);
});

test("the slow endpoint is named, with how slow it is and what share it lost", () => {
  const find = (turn: number) => {
    const service = shopReport(turn).services.find((one) => one.service === "shop/reviews");
    return endpointVerdicts(service!, 10_000);
  };
  assert.ok(find(5).every(({ words }) => words === ""));
  const [one, , three] = find(80);
  assert.equal(one?.words, "");
  assert.ok(three?.isSlow && three.hasLostTraffic);
  assert.match(three.words, /times slower than the others .*gets 2\.7 % .*in place of 33 %/);
});

test("a fast endpoint beside an equally fast one is not slow, however small the numbers", () => {
  const [service] = shopReport(1).services;
  const endpoint = { ...service!.endpoints[0]!, share: 0.5 };
  const both = [
    { ...endpoint, id: "a", p50Ms: 0.2 },
    { ...endpoint, id: "b", p50Ms: 2 },
  ];
  const verdicts = endpointVerdicts({ ...service!, endpoints: both }, 10_000);
  assert.ok(verdicts.every(({ isSlow }) => !isSlow));
});

test("everything that the incident has is among the alerts, what is bad first", () => {
  const alerts = alertsOf(shopReport(80), [
    {
      ...{ kind: "VirtualService", namespace: "shop", name: "reviews", revision: 1 },
      ...{ appliedMs: START_MS, status: "refused", document: "" },
      findings: [{ path: "spec", message: "no such subset" }],
    },
  ]);
  const titles = alerts.map(({ title }) => title);
  for (const part of [
    "shop/payments fails",
    "certificate that ends in 42 min",
    "refused revision 42",
    "VirtualService shop/reviews is refused",
    "payments-2 is ejected",
    "reviews-3 is slow",
    "flooded by shop/cart",
    "node-c does not answer",
  ]) {
    assert.ok(
      titles.some((title) => title.includes(part)),
      `${part} in ${titles.join("; ")}`,
    );
  }
  const firstWarning = alerts.findIndex(({ level }) => level === "warn");
  assert.ok(alerts.slice(firstWarning).every(({ level }) => level === "warn"));
});

test("a mesh without trouble has no alerts", () => {
  const report = shopReport(1);
  const hosts = [{ ...report.hosts[0]!, workloads: [], certificates: [] }];
  const services = report.services.filter(({ service }) => service === "shop/ratings");
  assert.deepEqual(alertsOf({ ...report, hosts, services }, []), []);
});

test("history keeps the last reports, and forgets what is gone for as long as it reaches", () => {
  const history = new History();
  for (let turn = 1; turn <= 310; turn++) history.add(shopReport(turn));
  assert.equal(history.times().length, 300);
  assert.equal(history.times()[299], shopReport(310).atMs / 1000);
  const expected = shopReport(310).total.rps;
  assert.ok(Math.abs((history.values(MESH, "rps")[299] ?? 0) - expected) < 0.01);
  const series = endpointSeriesOf("shop/reviews", "reviews-3");
  assert.ok((history.values(series, "latencyEwmaMs")[299] ?? 0) > 100);
  history.add({ ...shopReport(311), services: [] });
  assert.equal(history.values(series, "share").at(-1), null);
  assert.notEqual(history.values(series, "share").at(-2), null);
  assert.deepEqual(history.values("nobody", "rps").slice(0, 2), [null, null]);
});

test("calls lead to later layers, and a cycle is opened where it closes", () => {
  const edges = [call("a", "b"), call("b", "c"), call("a", "c"), call("c", "b"), call("d", "d")];
  const layers = layersOf(new Set(["a", "b", "c", "d"]), edges);
  assert.deepEqual(Object.fromEntries(layers), { a: 0, b: 1, c: 2, d: 0 });
});

test("a chain of 20,000 calls is laid in layers without an overflow", () => {
  const names = Array.from({ length: 20_000 }, (_, at) => `s${at}`);
  const chain = names.slice(1).map((to, at) => call(names[at]!, to));
  assert.equal(layersOf(new Set(names), chain).get("s19999"), 19_999);
});

test("the graph shows what matches and the other ends of its edges", () => {
  const all = graphOf(shopReport(50), { text: "", namespace: "", focus: "" });
  assert.equal(all.edges.length, 11);
  assert.ok(
    all.nodes.some(({ id }) => id === "shop/mail"),
    "a service that nobody calls",
  );
  const focused = graphOf(shopReport(50), { text: "", namespace: "", focus: "shop/cart" });
  assert.deepEqual(
    focused.nodes.map(({ id }) => id),
    ["data/sessions", "shop/cart", "shop/frontend", "shop/payments", "unknown"],
  );
  const payments = all.nodes.find(({ id }) => id === "shop/payments");
  assert.equal(payments?.health, "bad");
  assert.equal(all.nodes.find(({ id }) => id === "edge/ingress")?.isService, false);
});

test("calls of workloads lead on from the services that they serve, those of several as one edge", () => {
  const report = shopReport(50);
  const [first] = report.edges.filter(({ source }) => source === "shop/frontend");
  const [one, two] = report.services.find(({ service }) => service === "shop/frontend")!.endpoints;
  const workload = (name: string, address: string) => ({
    ...report.hosts[0]!.workloads[0]!,
    ...{ workload: name, addresses: [address] },
  });
  const hosts = [
    { ...report.hosts[0]!, host: one!.host, workloads: [workload("shop/web-1", one!.address)] },
    { ...report.hosts[0]!, host: two!.host, workloads: [workload("shop/web-2", two!.address)] },
  ];
  const edges = [
    { ...first!, source: "shop/web-1", rps: 30, success: 1 },
    { ...first!, source: "shop/web-2", rps: 10, success: 0.6, secured: false },
  ];
  const filter = { text: "", namespace: "", focus: "" };
  // Addresses of the others are the same, by chance.
  const services = report.services.filter(({ service }) => service === "shop/frontend");
  const graph = graphOf({ ...report, hosts, edges, services }, filter);
  assert.deepEqual(
    graph.edges.map(({ from, to, figures }) => [from, to, figures.rps, figures.secured]),
    [["shop/frontend", "shop/catalog", 40, false]],
  );
  assert.ok(Math.abs(graph.edges[0]!.figures.success! - 0.9) < 1e-9);
  assert.ok(!graph.nodes.some(({ id }) => id.startsWith("shop/web")));
});

test("the same graph is laid out the same way, and keeps its places when only figures change", () => {
  const places = () => {
    const layout = new Layout();
    layout.take(graphOf(shopReport(50), { text: "", namespace: "", focus: "" }), false);
    while (layout.turn());
    return layout;
  };
  const [one, two] = [places(), places()];
  const pick = (layout: Layout) => [...layout.places].map(({ id, x, y }) => ({ id, x, y }));
  assert.deepEqual(pick(one), pick(two));
  const again = graphOf(shopReport(51), { text: "", namespace: "", focus: "" });
  assert.equal(one.take(again, false), false);
  const ingress = one.place("edge/ingress");
  const frontend = one.place("shop/frontend");
  assert.ok(ingress!.x < frontend!.x, "callers stand left of callees");
});

test("2,000 edges come to a layout that fits", () => {
  const layout = new Layout();
  layout.take(graphOf(largeReport(1), { text: "", namespace: "", focus: "" }), false);
  while (layout.turn());
  const camera = fit(layout.places, 900, 600);
  for (const { x, y } of layout.places) {
    const [sx, sy] = [x * camera.scale + camera.dx, y * camera.scale + camera.dy];
    assert.ok(sx > 0 && sx < 900 && sy > 0 && sy < 600, `${sx}, ${sy}`);
  }
});

test("zooming keeps the point under the pointer", () => {
  const before = { scale: 1, dx: 30, dy: 40 };
  const after = zoom(before, 2, 100, 100);
  assert.equal((100 - after.dx) / after.scale, 70);
  assert.equal(zoom(before, 1e9, 0, 0).scale, 3);
});

test("open locks say why, the most frequent reason first", () => {
  const words = describeSecurity({ no_identity: 1, passthrough: 5, mutual_tls: 0 });
  assert.equal(words, "the destination is not known to the mesh, a host has no certificate");
});
