import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { parseCpuBusyMs, parseProcessTimes, sumTree, treeTimes } from "../../bench/lib/cpu-time.ts";
import { busyNote } from "../../bench/lib/machine.ts";
import { choosePinning, parseCpuList, pinned } from "../../bench/lib/pinning.ts";
import { pairedRatio, spread } from "../../bench/lib/statistics.ts";
import { parseVersion } from "../../bench/lib/tools.ts";
import { Workbench } from "../../bench/lib/workbench.ts";
import { parseWrk, wrkArguments } from "../../bench/lib/wrk.ts";
import { haproxyConfig } from "../../bench/one-hop/haproxy-config.ts";
import { parseTunnelLoad } from "../../bench/one-hop/load.ts";
import { measure, rotated, type Sample } from "../../bench/one-hop/measure.ts";
import {
  nginxConfig,
  nginxStreamConfig,
  upstreamConfig,
} from "../../bench/one-hop/nginx-config.ts";
import { parseOptions, UsageError } from "../../bench/one-hop/options.ts";
import { formatBody, report } from "../../bench/one-hop/report.ts";
import { summarize } from "../../bench/one-hop/summarize.ts";
import { until } from "../helpers/until.ts";

const PLACE = { folder: "/tmp/x", port: 21_000, upstreams: [20_001, 20_002], service: "web" };

const REPORT = `Running 2s test @ http://127.0.0.1:21000/115
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     0.93ms  177.66us   7.21ms   91.43%
    Req/Sec    68.22k     2.43k   71.21k    65.00%
  Latency Distribution
     50%    0.91ms
     75%    0.97ms
     90%    1.06ms
     99%    1.45ms
  135742 requests in 2.00s, 42.85MB read
Requests/sec:  67810.55
Transfer/sec:     21.41MB
`;

const FAILED = REPORT.replace(
  "Requests/sec",
  "  Socket errors: connect 0, read 3, write 0, timeout 2\n  Non-2xx or 3xx responses: 17\nRequests/sec",
);

function sample(given: Partial<Sample>): Sample {
  return {
    ...{ name: "hostmesh", bodyBytes: 115, round: 0, requests: 1_000, bytes: 115_000, seconds: 1 },
    ...{ userMs: 10, systemMs: 10, p50Ms: 1, p99Ms: 2, foreignShare: 0, problems: [] },
    ...given,
  };
}

test("the median of an even number of values lies between the middle two", () => {
  assert.deepEqual(spread([9, 1, 5]), { median: 5, min: 1, max: 9 });
  assert.deepEqual(spread([4, 1, 10, 2]), { median: 3, min: 1, max: 10 });
  assert.throws(() => spread([]), RangeError);
  assert.throws(() => spread([1, Number.NaN]), RangeError);
});

test("a ratio compares values of the same round and not the medians", () => {
  // Round 2 was slow for both: the quotient of the medians would be 15/20.
  assert.deepEqual(pairedRatio([10, 100, 15], [5, 50, 20]), { median: 2, min: 0.75, max: 2 });
  assert.throws(() => pairedRatio([1], [1, 2]), RangeError);
});

test("the times of a process are read behind a name with blanks and brackets", () => {
  const line = `4711 (a) b (c)) S 42 1 1 0 -1 4194560 100 0 0 0 123 45 6 7 20 0 1 0 999 ${"0 ".repeat(30)}`;
  const times = parseProcessTimes(line);
  assert.deepEqual(times, { pid: 4_711, parent: 42, userMs: 1_230, systemMs: 450 });
  assert.throws(() => parseProcessTimes("not a stat line"), /not a line/);
  assert.throws(() => parseProcessTimes("4711 (cut) S 42 1"), /not a line/);
});

test("the CPU time of a tree is that of the process and all its descendants", () => {
  const one = (pid: number, parent: number) => ({ pid, parent, userMs: pid, systemMs: 1 });
  // A child may stand before its parent in the list.
  const all = [one(30, 20), one(1, 0), one(10, 1), one(20, 10), one(11, 1)];
  assert.deepEqual(sumTree(10, all), { userMs: 60, systemMs: 3, pids: [10, 20, 30] });
  assert.throws(() => sumTree(99, all), /process 99 has ended/);
});

const onLinux = { skip: process.platform === "linux" ? false : "needs /proc" };

test("the CPU time of this very process grows when it works", onLinux, async () => {
  const before = await treeTimes(process.pid);
  const end = process.cpuUsage().user + 60_000;
  while (process.cpuUsage().user < end) Math.sqrt(Math.random());
  const after = await treeTimes(process.pid);
  const grownMs = after.userMs + after.systemMs - before.userMs - before.systemMs;
  assert.ok(grownMs >= 40 && grownMs < 2_000, `grew by ${grownMs} ms`);
  assert.ok(after.pids.includes(process.pid));
});

test("the busy time of a CPU is that of programs, system calls and theft, without interrupts", () => {
  const text =
    "cpu  9 9 9 9 9 9 9 9 0 0\ncpu1 1 2 4 1000 1000 500 500 8 0 0\ncpu10 7 7 7 7 7 7 7 7 0 0\n";
  assert.equal(parseCpuBusyMs(text, 1), 150);
  assert.throws(() => parseCpuBusyMs(text, 2), /no CPU 2/);
});

test("a report of wrk gives requests, time and latencies", () => {
  const result = parseWrk(REPORT);
  const { requests, seconds, p50Ms, p99Ms, problems } = result;
  assert.deepEqual(
    { requests, seconds, problems },
    { requests: 135_742, seconds: 2, problems: [] },
  );
  assert.deepEqual([p50Ms, p99Ms], [0.91, 1.45]);
  const slow = parseWrk(REPORT.replace("1.45ms", "1.20s").replace("0.91ms", "850.00us"));
  assert.deepEqual([slow.p50Ms, slow.p99Ms], [0.85, 1_200]);
  assert.equal(parseWrk(REPORT.replace("2.00s", "1.00m")).seconds, 60);
});

test("errors of wrk, answers that are no success and no answer at all are problems", () => {
  assert.deepEqual(parseWrk(FAILED).problems, [
    "socket errors: connect 0, read 3, write 0, timeout 2",
    "17 responses not 2xx",
  ]);
  const none = REPORT.replace("135742 requests", "0 requests");
  assert.deepEqual(parseWrk(none).problems, ["no request was completed"]);
  assert.throws(() => parseWrk("unable to connect to 127.0.0.1:1"), /not a report of wrk/);
});

test("wrk is told connections, duration and Host", () => {
  const url = "http://127.0.0.1:1/115";
  const load = { url, host: "web", connections: 64, seconds: 3, script: null };
  assert.ok(!wrkArguments(load).includes("-s"));
  const args = wrkArguments({ ...load, script: "vary.lua" });
  assert.equal(args[args.indexOf("-s") + 1], "vary.lua");
  for (const one of ["-t1", "-c64", "-d3s", "--latency", "Host: web", load.url]) {
    assert.ok(args.includes(one), one);
  }
});

test("a report of the tunnel load gives bytes, and says when connections failed", () => {
  const result = parseTunnelLoad("12 13000000 0\n", 3);
  assert.deepEqual([result.requests, result.bytes, result.problems], [12, 13_000_000, []]);
  assert.deepEqual(parseTunnelLoad("0 0 4\n", 3).problems, [
    "4 connections failed",
    "no response was completed",
  ]);
  assert.throws(() => parseTunnelLoad("Error: no", 3), /not a report/);
});

test("proxies and load get CPUs of different cores where there are such", () => {
  assert.deepEqual(parseCpuList("0-2,8\n"), [0, 1, 2, 8]);
  assert.deepEqual(parseCpuList(""), []);
  assert.throws(() => parseCpuList("a-b"), /not a list of CPUs/);
  const four = choosePinning([0, 1, 2, 3], [0, 1], true);
  assert.deepEqual([four.proxyCpu, four.loadCpu], [0, 2]);
  const two = choosePinning([4, 5], [4, 5], true);
  assert.deepEqual([two.proxyCpu, two.loadCpu], [4, 5]);
  assert.match(two.note, /of the same core/);
});

test("nothing is pinned on one CPU or without taskset, and that is said", () => {
  const one = choosePinning([0], [0], true);
  assert.deepEqual([one.proxyCpu, one.loadCpu], [null, null]);
  assert.match(one.note, /not pinned: there is one CPU/);
  assert.match(choosePinning([0, 1], [], false).note, /taskset \(util-linux\) is missing/);
  assert.deepEqual(pinned(["nginx", "-c"], null), ["nginx", "-c"]);
  assert.deepEqual(pinned(["nginx"], 3), ["taskset", "-c", "3", "nginx"]);
});

test("versions are found in what programs print", () => {
  assert.equal(parseVersion("nginx version: nginx/1.22.1\n"), "1.22.1");
  const haproxy = "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/";
  assert.equal(parseVersion(haproxy), "2.6.12-1+deb12u4");
  assert.equal(parseVersion("nothing"), "unknown");
});

test("a load average says whether the machine was busy", () => {
  assert.equal(busyNote(0.1), null);
  assert.match(busyNote(2.4) ?? "", /load average 2\.40.*preliminary/);
});

test("both proxies add what hostmesh adds and keep their connections", () => {
  const nginx = nginxConfig(PLACE);
  const haproxy = haproxyConfig(PLACE, "http", 16_384);
  for (const text of ["X-Request-Id", "X-Forwarded-Proto", "Via"]) {
    assert.ok(nginx.includes(text) && haproxy.includes(text), text);
  }
  assert.match(nginx, /X-Forwarded-For \$proxy_add_x_forwarded_for/);
  assert.match(haproxy, /option forwardfor/);
  assert.match(nginx, /least_conn;.*keepalive 256;/s);
  assert.match(nginx, /proxy_http_version 1\.1;\s+proxy_set_header Connection "";/);
  assert.match(haproxy, /http-reuse always/);
  assert.match(haproxy, /balance leastconn/);
  assert.match(nginx, /access_log off/);
  assert.doesNotMatch(haproxy, /^\s*log /m);
});

test("each has one thread and the same servers, and listens on loopback alone", () => {
  const upstream = upstreamConfig({
    folder: "/tmp/x",
    ports: [20_001, 20_002],
    root: "/tmp/b",
    vary: false,
  });
  const stream = nginxStreamConfig(PLACE, "/lib/stream.so");
  const configs = [nginxConfig(PLACE), stream, haproxyConfig(PLACE, "http", 16_384)];
  for (const text of configs) {
    assert.match(text, /worker_processes 1;|nbthread 1\n/);
    assert.match(text, /(?:listen|bind) 127\.0\.0\.1:21000/);
    assert.match(text, /127\.0\.0\.1:20001.*127\.0\.0\.1:20002/s);
  }
  assert.match(stream, /^load_module \/lib\/stream\.so;\n/);
  assert.doesNotMatch(nginxStreamConfig(PLACE, null), /load_module/);
  assert.match(upstream, /listen 127\.0\.0\.1:20001; listen 127\.0\.0\.1:20002; root \/tmp\/b;/);
});

test("opaque TCP with HAProxy has nothing of HTTP", () => {
  const tcp = haproxyConfig(PLACE, "tcp", 16_384);
  assert.match(tcp, /mode tcp/);
  assert.doesNotMatch(tcp, /http|hdr|unique-id/);
  assert.match(tcp, /default_backend web/);
});

const installed = (name: string) =>
  ["/usr/sbin", "/usr/bin", "/usr/local/sbin"]
    .map((folder) => `${folder}/${name}`)
    .find((path) => existsSync(path));
const haproxy = installed("haproxy");
const nginx = installed("nginx");

/** What the program says of a configuration that it refuses; empty where it accepts it. */
async function refusal(path: string, config: (folder: string) => string, flags: readonly string[]) {
  const bench = await Workbench.open(new AbortController().signal);
  try {
    const file = join(bench.folder, "config");
    await writeFile(file, config(bench.folder));
    return await bench.run("the check", [path, ...flags, file], 10_000).then(
      () => "",
      (error: Error) => error.message,
    );
  } finally {
    await bench.close();
  }
}

const withHaproxy = { skip: haproxy === undefined ? "HAProxy is not installed" : false };

test("HAProxy itself accepts both configurations", withHaproxy, async () => {
  for (const mode of ["http", "tcp"] as const) {
    const text = haproxyConfig(PLACE, mode, 65_536);
    assert.equal(await refusal(haproxy ?? "", () => text, ["-c", "-f"]), "");
  }
  assert.match(await refusal(haproxy ?? "", () => "nonsense", ["-c", "-f"]), /failed/);
});

const withNginx = { skip: nginx === undefined ? "nginx is not installed" : false };

test("nginx itself accepts the configurations of upstream and proxy", withNginx, async () => {
  const flags = ["-e", "stderr", "-t", "-c"];
  const proxy = (folder: string) => nginxConfig({ ...PLACE, folder });
  const upstream = (folder: string) =>
    upstreamConfig({ folder, ports: [20_001], root: folder, vary: true });
  assert.equal(await refusal(nginx ?? "", proxy, flags), "");
  assert.equal(await refusal(nginx ?? "", upstream, flags), "");
  assert.match(await refusal(nginx ?? "", () => "nonsense", flags), /failed/);
});

test("each round begins with another contestant", () => {
  assert.deepEqual(rotated(["a", "b", "c"], 1), ["b", "c", "a"]);
  assert.deepEqual(rotated(["a", "b", "c"], 5), ["c", "a", "b"]);
  assert.deepEqual(rotated([], 1), []);
});

test("everybody is warmed up first and then measured in every round", async () => {
  const calls: string[] = [];
  const peer = { version: "1", pid: null, connectTo: null };
  const samples = await measure({
    contestants: [
      { ...peer, name: "nginx", port: 1, warmUpSeconds: 1 },
      { ...peer, name: "hostmesh", port: 2, warmUpSeconds: 6 },
    ],
    ...{ bodies: [115, 1_024], rounds: 2, seconds: 3, proxyCpu: null, onSample: () => undefined },
    load: async ({ name }, body, seconds) => {
      calls.push(`${name} ${body} ${seconds}`);
      const problems: string[] = [];
      return { requests: 1, bytes: body, seconds, p50Ms: null, p99Ms: null, problems };
    },
  });
  assert.deepEqual(calls, [
    ...["nginx 115 1", "hostmesh 115 6"],
    ...["nginx 115 3", "hostmesh 115 3", "hostmesh 115 3", "nginx 115 3"],
    ...["nginx 1024 1", "hostmesh 1024 1"],
    ...["nginx 1024 3", "hostmesh 1024 3", "hostmesh 1024 3", "nginx 1024 3"],
  ]);
  assert.equal(samples.length, 8);
});

test("a row has the CPU of a request and its ratio to both peers", () => {
  const rounds = [0, 1, 2].flatMap((round) => [
    sample({ name: "nginx", round, userMs: 5, systemMs: 5 }),
    sample({ name: "HAProxy", round, userMs: 8, systemMs: 8 }),
    sample({ round, userMs: 8, systemMs: 12 }),
    sample({ name: "direct", round, userMs: null, systemMs: null }),
  ]);
  const rows = summarize(rounds, "us/request");
  const hostmesh = rows.find(({ name }) => name === "hostmesh");
  assert.equal(hostmesh?.cost?.median, 20);
  assert.deepEqual([hostmesh?.user?.median, hostmesh?.system?.median], [8, 12]);
  assert.equal(hostmesh?.ofHaproxy?.median, 1.25);
  assert.equal(hostmesh?.ofNginx?.median, 2);
  assert.equal(rows.find(({ name }) => name === "direct")?.cost, null);
  const lines = report(rows, "us/request", Number.POSITIVE_INFINITY, false);
  assert.match(lines.join("\n"), /115 B {2}hostmesh +1000 +20\.0 +20\.0-20\.0 +8\.0 +12\.0 +1\.25/);
  assert.match(lines.at(-1) ?? "", /goal: at most 1\.25 x HAProxy with 115 B: met, 1\.25/);
});

test("opaque TCP is counted in CPU seconds of a gigabyte", () => {
  const [row] = summarize([sample({ bytes: 2e9, userMs: 200, systemMs: 600, seconds: 2 })], "s/GB");
  assert.equal(row?.cost?.median, 0.4);
  assert.equal(row?.perSecond.median, 1);
});

test("one failed round makes the row invalid, and a ratio to it is not given", () => {
  const rows = summarize(
    [
      sample({ name: "HAProxy" }),
      sample({ name: "HAProxy", round: 1, problems: ["3 responses not 2xx"] }),
      sample({}),
      sample({ round: 1 }),
    ],
    "us/request",
  );
  const [haproxy, hostmesh] = rows;
  assert.equal(haproxy?.cost, null);
  assert.deepEqual(haproxy?.problems, ["round 2: 3 responses not 2xx"]);
  assert.equal(hostmesh?.ofHaproxy, null);
  assert.notEqual(hostmesh?.cost, null);
  const text = report(rows, "us/request", Number.POSITIVE_INFINITY, false).join("\n");
  assert.match(text, /HAProxy .*INVALID/);
  assert.match(text, /HAProxy, 115 B, round 2: 3 responses not 2xx/);
  assert.doesNotMatch(text, /goal/);
});

test("a row whose CPU was taken by others is marked", () => {
  const rows = summarize([sample({ foreignShare: 0.2 }), sample({ round: 1 })], "us/request");
  const text = report(rows, "us/request", Number.POSITIVE_INFINITY, false).join("\n");
  assert.match(text, /disturbed: others had up to 20\.0 %/);
});

test("body sizes are written as people say them", () => {
  assert.deepEqual([115, 1_024, 10_240, 1_048_576, 1_500].map(formatBody), [
    ...["115 B", "1 KiB", "10 KiB", "1 MiB", "1500 B"],
  ]);
});

test("options have defaults, and nonsense is refused", () => {
  const defaults = parseOptions([]);
  assert.equal(defaults?.rounds, 5);
  assert.deepEqual(defaults?.bodies, [115, 1_024, 10_240, 102_400, 1_048_576]);
  assert.deepEqual(parseOptions(["--tcp"])?.bodies, [1_048_576]);
  const given = parseOptions(["--quick", "--rounds", "7", "--body", "1,2", "--out", "x.json"]);
  assert.deepEqual([given?.rounds, given?.seconds, given?.bodies], [7, 1, [1, 2]]);
  assert.equal(given?.out, "x.json");
  assert.equal(parseOptions(["--help"]), null);
  for (const args of [["--rounds", "0"], ["--body", "1,x"], ["--connections", "9999"], ["--bad"]]) {
    assert.throws(() => parseOptions(args), UsageError, args.join(" "));
  }
});

test(
  "a workbench ends its processes with their children and removes its folder",
  onLinux,
  async () => {
    const stop = new AbortController();
    const bench = await Workbench.open(stop.signal, 100);
    // The shell ignores the polite signal and so does its child: both must be gone all the same.
    const script = "trap '' TERM; sleep 1000 & sleep 1000";
    const pid = bench.start("stubborn", ["sh", "-c", script]);
    await bench.until("stubborn", async () => (await treeTimes(pid)).pids.length > 1, 2_000);
    const { pids } = await treeTimes(pid);
    await bench.close();
    for (const one of pids) {
      // One that has ended and was not yet collected by its new parent is a Z.
      await until(async () => {
        const text = await readFile(`/proc/${one}/stat`, "utf8").catch(() => ") Z");
        return text.slice(text.lastIndexOf(")")).startsWith(") Z");
      });
    }
    assert.equal(existsSync(bench.folder), false);
  },
);

test("a workbench tells what a process said that did not start, and breaks off when asked", async () => {
  const stop = new AbortController();
  const bench = await Workbench.open(stop.signal);
  try {
    bench.start("broken", ["sh", "-c", "echo the config is bad >&2; exit 3"]);
    await assert.rejects(
      bench.until("broken", async () => false, 2_000),
      /broken ended: the config is bad/,
    );
    await assert.rejects(bench.run("failing", ["sh", "-c", "echo no >&2; exit 1"], 2_000), /no/);
    assert.equal((await bench.run("fine", ["echo", "yes"], 2_000)).trim(), "yes");
    await assert.rejects(bench.run("slow", ["sleep", "1000"], 50), /did not end within 50 ms/);
    const running = bench.run("long", ["sleep", "1000"], 60_000);
    stop.abort();
    await assert.rejects(running, { name: "AbortError" });
  } finally {
    await bench.close();
  }
});
