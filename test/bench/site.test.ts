import assert from "node:assert/strict";
import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { freePorts } from "../../bench/lib/free-ports.ts";
import { chooseOwnCores, choosePins, parseCpuList, TOO_FEW_CORES } from "../../bench/lib/pins.ts";
import { openSite, type Role, type Site } from "../../bench/lib/site.ts";
import { skipReason } from "../netns/helpers/privilege.ts";

const { signal } = new AbortController();
const asRoot = { skip: skipReason() };
const HOLDER = fileURLToPath(new URL("./fixture-site-holder.ts", import.meta.url));

/** Network namespaces of this bench that exist now. */
function namespaces(): string[] {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  return [...stdout.matchAll(/^hmbench-\S+/gm)].map(([name]) => name);
}

/** Runs a command of the site and resolves with what it prints. */
async function output(command: readonly string[]): Promise<string> {
  const [file = "", ...args] = command;
  return (await promisify(execFile)(file, args)).stdout.trim();
}

/** The CPUs that a command is allowed to use. */
async function allowedCpus(site: Site, role: Role, nth = 0): Promise<number[]> {
  const show = ["sh", "-c", "grep Cpus_allowed_list /proc/self/status"];
  const [, list = ""] = (await output(site.command(site.a, role, show, nth))).split(/\s+/);
  return parseCpuList(list);
}

test("a list of CPUs has single ones and ranges", () => {
  assert.deepEqual(parseCpuList("0-2,8\n"), [0, 1, 2, 8]);
  assert.deepEqual(parseCpuList(""), []);
  assert.throws(() => parseCpuList("a-b"), /not a list of CPUs/);
});

test("proxies get as many CPUs as workers, of cores of their own, and the load the others", () => {
  const of = (cores: number[][], workers: number) => {
    const { proxyCpus, loadCpus } = choosePins(cores, workers, true);
    return [proxyCpus, loadCpus];
  };
  const two = [[0], [1]];
  assert.deepEqual(of(two, 1), [[0], [1]]);
  assert.deepEqual(of(two, 4), [[0], [1]]);
  const eight = [
    [0, 4],
    [1, 5],
    [2, 6],
    [3, 7],
  ];
  assert.deepEqual(of(eight, 1), [[0], [1, 2]]);
  assert.deepEqual(of(eight, 2), [
    [0, 1],
    [2, 3],
  ]);
  assert.deepEqual(of(eight, 4), [
    [0, 1, 2, 3],
    [4, 5],
  ]);
  assert.deepEqual(of([[3]], 1), [null, null]);
});

test("the note says where workers share CPUs and where load and proxies share a core", () => {
  assert.match(choosePins([[0], [1]], 2, true).note, /CPU 0, where 2 workers share them/);
  assert.match(choosePins([[0, 1]], 1, true).note, /of the same core/);
  assert.doesNotMatch(choosePins([[0], [1]], 1, true).note, /share|same core/);
  assert.match(choosePins([[0], [1]], 1, false).note, /taskset .* is missing/);
  assert.match(choosePins([[0]], 1, true).note, /one CPU/);
});

test("with cores of their own proxies share them neither with each other nor with the load", () => {
  const of = (cores: number[][], workers: number, proxies: number) => {
    const { ownCpus, loadCpus, upstreamCpus, note } = chooseOwnCores(
      cores,
      { workers, proxies },
      true,
    );
    assert.doesNotMatch(note, new RegExp(TOO_FEW_CORES));
    return [ownCpus, loadCpus, upstreamCpus];
  };
  const four = [[0, 4], [1, 5], [2, 6], [3]];
  assert.deepEqual(of(four, 1, 1), [[[0]], [1, 2], [1, 2]]);
  assert.deepEqual(of(four, 1, 2), [
    [[0], [1]],
    [2, 3],
    [2, 3],
  ]);
  assert.deepEqual(of(four, 1, 3), [[[0], [1], [2]], [3], [3]]);
  assert.deepEqual(of([...four, [7]], 2, 2), [
    [
      [0, 1],
      [2, 3],
    ],
    [7],
    [7],
  ]);
  assert.deepEqual(of([[0], [1]], 1, 1), [[[0]], [1], [1]]);
});

test("where cores are left for nobody but the proxies the note says who runs beside whom", () => {
  const pins = chooseOwnCores([[0], [1]], { workers: 1, proxies: 2 }, true);
  assert.deepEqual(pins.ownCpus, [[0], [1]]);
  assert.deepEqual([pins.loadCpus, pins.upstreamCpus], [[1], [0]]);
  assert.match(
    pins.note,
    /too few cores: 2 of the 3 .* load shares CPU 1 with the client's proxy, and the upstream CPU 0 /,
  );
  const refused = (cores: number[][], proxies: number, hasTaskset: boolean) => () =>
    chooseOwnCores(cores, { workers: 1, proxies }, hasTaskset);
  assert.throws(refused([[0], [1]], 3, true), /needs a core for each .* 3, and there are 2:/);
  assert.throws(refused([[0, 1]], 1, true), /which is 2, and there is 1:/);
  assert.throws(refused([[0], [1]], 1, false), /taskset/);
});

test("no port is given twice, though nobody listens on them yet", async () => {
  const ports = [...(await freePorts(40)), ...(await freePorts(40))];
  assert.equal(new Set(ports).size, 80);
  assert.ok(ports.every((port) => port >= 20_000 && port < 32_768));
});

test("on one host both places are the loopback address", async () => {
  const site = await openSite("same-host", { workers: 1, signal });
  assert.equal(site.a, site.b);
  assert.deepEqual(site.a, { host: "a", netns: null, address: "127.0.0.1" });
  assert.equal(await output(site.command(site.a, "proxy", ["echo", "a b"])), "a b");
  await site.close();
});

test("a command runs on the CPUs of its role", async (t) => {
  const site = await openSite("same-host", { workers: 1, signal });
  if (site.proxyCpus === null) return t.skip(site.note);
  for (const role of ["proxy", "load", "upstream"] as const) {
    const wanted: Record<Role, readonly number[] | null> = {
      proxy: site.proxyCpus,
      load: site.loadCpus,
      upstream: site.upstreamCpus,
    };
    assert.deepEqual(await allowedCpus(site, role), wanted[role], role);
  }
});

test("the proxies of a path run on cores of their own, each", async (t) => {
  if (availableParallelism() < 2) return t.skip("there is one CPU");
  const site = await openSite("same-host", { workers: 1, proxiesApart: 2, signal });
  assert.equal(site.ownCpus?.length, 2);
  for (const nth of [0, 1]) {
    assert.deepEqual(await allowedCpus(site, "proxy", nth), site.ownCpus?.[nth]);
  }
  assert.deepEqual(await allowedCpus(site, "upstream"), site.upstreamCpus);
});

test(
  "two places reach each other over a veth pair, and are gone after closing",
  asRoot,
  async (t) => {
    const site = await openSite("cross-host", { workers: 1, signal });
    t.after(() => site.close());
    const { a, b } = site;
    assert.notEqual(a.address, b.address);
    assert.equal(namespaces().filter((name) => [a.netns, b.netns].includes(name)).length, 2);
    const serve = `require("node:net").createServer((s) => s.end("from " + s.remoteAddress)).listen(7, "${b.address}", () => console.log("up"))`;
    const [file = "", ...args] = site.command(b, "load", [process.execPath, "-e", serve]);
    const server = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(server, "exit");
    await once(server.stdout, "data");
    const ask = `require("node:net").connect(7, "${b.address}").on("data", (d) => console.log(String(d)))`;
    const answer = await output(site.command(a, "load", [process.execPath, "-e", ask]));
    assert.equal(answer, `from ${a.address}`);
    await site.close();
    // What still ran inside is ended too.
    await ended;
    assert.deepEqual(
      namespaces().filter((name) => [a.netns, b.netns].includes(name)),
      [],
    );
    await site.close();
  },
);

test("what a killed bench left behind goes when the next one begins", asRoot, async () => {
  const holder = spawn(process.execPath, [HOLDER], { stdio: ["ignore", "pipe", "inherit"] });
  await once(holder.stdout, "data");
  const left = namespaces().filter((name) => name.startsWith(`hmbench-${holder.pid}-`));
  assert.equal(left.length, 2);
  holder.kill("SIGKILL");
  await once(holder, "exit");
  const site = await openSite("cross-host", { workers: 1, signal });
  await site.close();
  assert.deepEqual(
    namespaces().filter((name) => left.includes(name)),
    [],
  );
});

test("a bench that ends without closing takes its namespaces with it", asRoot, async () => {
  const holder = spawn(process.execPath, [HOLDER, "throw"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [code] = await once(holder, "exit");
  assert.equal(code, 1);
  for (let left = 50; left > 0; left--) {
    if (namespaces().every((name) => !name.startsWith(`hmbench-${holder.pid}-`))) return;
    await delay(20);
  }
  assert.fail("its namespaces are still there");
});

test("cross-host says what it needs where it cannot be", async (t) => {
  const { getuid } = process;
  t.after(() => Object.assign(process, { getuid }));
  Object.assign(process, { getuid: () => 1_000 });
  const opening = openSite("cross-host", { workers: 1, signal });
  await assert.rejects(opening, { name: "BenchError", message: /needs .*--topology same-host/ });
});
