import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ConfigError } from "../../src/config/config-error.ts";
import { type LoadOptions, loadConfig } from "../../src/config/load.ts";

const MACHINE = { cpus: 4, isRoot: false, home: "/home/u" };

function load(options: Partial<LoadOptions> = {}) {
  return loadConfig({ env: {}, flags: {}, machine: MACHINE, ...options });
}

function fileOf(t: TestContext, text: string, name = "hostmesh.yaml"): string {
  const folder = mkdtempSync(join(tmpdir(), "hostmesh-config-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

/** The problems as `where|name|message`, with the folder of the file cut off. */
function problems(options: Partial<LoadOptions>): string[] {
  try {
    load(options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems.map(({ where, name, message }) => {
      const place = where.replace(/^.*\/hostmesh-config-[^/]*\//, "");
      return `${place}|${name}|${message}`;
    });
  }
  return [];
}

test("without any source every setting has its default", () => {
  const config = load();
  assert.equal(config.ports.explicit, 4140);
  assert.equal(config.balance.policy, "peak-ewma");
  assert.deepEqual(config.registry.urls, ["http://127.0.0.1:15010"]);
});

test("a flag wins over the environment, the environment over the file, the file over the default", (t) => {
  const file = fileOf(
    t,
    "ports: { explicit: 1, admin: 1001, metrics: 1002 }\nlimits:\n  attempts: 5\nzone: a\n",
  );
  const config = load({
    file,
    env: { HOSTMESH_PORTS_EXPLICIT: "2", HOSTMESH_PORTS_ADMIN: "2001", PATH: "/bin" },
    flags: { ports: { explicit: 3 } },
  });
  assert.deepEqual(
    [config.ports.explicit, config.ports.admin, config.ports.metrics, config.ports.ready],
    [3, 2001, 1002, 15_021],
  );
  assert.equal(config.limits.attempts, 5);
  assert.equal(config.zone, "a");
});

test("a JSON file is read as well", (t) => {
  const text = JSON.stringify({ host: "h", capture: { excludePorts: [22, 53] } }, null, "\t");
  const config = load({ file: fileOf(t, text, "hostmesh.json") });
  assert.equal(config.host, "h");
  assert.deepEqual(config.capture.excludePorts, [22, 53]);
});

test("an empty file is no problem", (t) => {
  assert.equal(load({ file: fileOf(t, "# nothing yet\n") }).ports.explicit, 4140);
});

test("every kind of setting can be given in the environment", () => {
  const config = load({
    env: {
      HOSTMESH_HOST: "node-1",
      HOSTMESH_CAPTURE_MODE: "redirect",
      HOSTMESH_CAPTURE_MARK: "0x4d4e",
      HOSTMESH_CAPTURE_EXCLUDE_PORTS: "22, 53",
      HOSTMESH_CAPTURE_EXCLUDE_SUBNETS: "10.0.0.0/8,fd00::/8",
      HOSTMESH_REGISTRY_URLS: "http://a:1,https://b:2",
      HOSTMESH_REGISTRY_VIRTUAL_CIDR4: "10.9.0.0/16",
      HOSTMESH_ZONE: "",
    },
  });
  assert.equal(config.host, "node-1");
  assert.equal(config.capture.mode, "redirect");
  assert.equal(config.capture.mark, 0x4d4e);
  assert.deepEqual(config.capture.excludePorts, [22, 53]);
  assert.deepEqual(config.capture.excludeSubnets, ["10.0.0.0/8", "fd00::/8"]);
  assert.deepEqual(config.registry.urls, ["http://a:1", "https://b:2"]);
  assert.equal(config.registry.virtualCidr4, "10.9.0.0/16");
});

test("an empty list in the environment is an empty list", (t) => {
  const file = fileOf(t, "capture: { excludePorts: [22] }");
  const config = load({ file, env: { HOSTMESH_CAPTURE_EXCLUDE_PORTS: "" } });
  assert.deepEqual(config.capture.excludePorts, []);
});

test("flags given as text are read like the environment", () => {
  const config = load({
    flags: { ports: { explicit: "4141" }, capture: { excludePorts: "1,2" }, zone: "7" },
  });
  assert.equal(config.ports.explicit, 4141);
  assert.deepEqual(config.capture.excludePorts, [1, 2]);
  assert.equal(config.zone, "7");
});

test("every problem of a file is named with its line and what would be right", (t) => {
  const file = fileOf(
    t,
    `ports:
  explicit: many
  explict: 4141
capture:
  mode: tproxi
  excludePorts: [22,
    70000]
  excludeSubnets: [10.0.0.0]
limits: { attempts: 0 }
zone: 5
colour: red
registry: null
`,
  );
  assert.deepEqual(problems({ file }).sort(), [
    "hostmesh.yaml:10|zone|expected text, found 5",
    "hostmesh.yaml:11|colour|there is no such setting",
    "hostmesh.yaml:12|registry|expected settings by name, found null",
    'hostmesh.yaml:2|ports.explicit|expected whole number from 0 to 65535, found "many"',
    "hostmesh.yaml:3|ports.explict|there is no such setting; did you mean explicit?",
    'hostmesh.yaml:5|capture.mode|expected one of auto, tproxy, redirect, explicit, found "tproxi"',
    "hostmesh.yaml:7|capture.excludePorts.1|expected list of: whole number from 1 to 65535, found 70000",
    'hostmesh.yaml:8|capture.excludeSubnets.0|expected a subnet such as 10.0.0.0/8, found "10.0.0.0"',
    "hostmesh.yaml:9|limits.attempts|expected whole number from 1, found 0",
  ]);
});

test("problems of all sources are reported together, and in the message", (t) => {
  const options = {
    file: fileOf(t, "workers: -1"),
    env: { HOSTMESH_PORTS_EXPLICIT: "x", HOSTMESH_PORTS_EXPLICT: "1" },
    flags: { timeouts: { headMs: "soon" }, tiemouts: { headMs: 1 } },
  };
  assert.deepEqual(problems(options), [
    "hostmesh.yaml:1|workers|expected whole number from 0, found -1",
    "environment|HOSTMESH_PORTS_EXPLICT|there is no such setting; did you mean HOSTMESH_PORTS_EXPLICIT?",
    'environment HOSTMESH_PORTS_EXPLICIT|ports.explicit|expected whole number from 0 to 65535, found "x"',
    'command line|timeouts.headMs|expected whole number from 0, found "soon"',
    "command line|tiemouts|there is no such setting; did you mean timeouts?",
  ]);
  assert.throws(() => load(options), /workers: expected whole number.*\n.*HOSTMESH_PORTS_EXPLICT/);
});

test("numbers that look like numbers but are not are refused", () => {
  for (const text of ["", " 1", "1.5", "1e3", "0b1", "99999999999999999999", "NaN"]) {
    assert.equal(problems({ env: { HOSTMESH_PORTS_EXPLICIT: text } }).length, 1, text);
  }
});

test("settings of a group within a group have variables, and problems of their own", () => {
  const env = {
    HOSTMESH_TELEMETRY_TRACING_SAMPLING: "0.25",
    HOSTMESH_TELEMETRY_TRACING_PROPAGATION: "w3c,b3",
  };
  const { sampling, propagation } = load({ env }).telemetry.tracing;
  assert.deepEqual([sampling, propagation], [0.25, ["w3c", "b3"]]);
  const bad = {
    HOSTMESH_TELEMETRY_TRACING_SAMPLING: "2",
    HOSTMESH_TELEMETRY_TRACING_PROPAGATION: "w3c,b4",
  };
  assert.deepEqual(
    problems({ env: bad }).map((problem) => problem.split("|").slice(0, 2).join(" ")),
    [
      "environment HOSTMESH_TELEMETRY_TRACING_SAMPLING telemetry.tracing.sampling",
      "environment HOSTMESH_TELEMETRY_TRACING_PROPAGATION telemetry.tracing.propagation.1",
    ],
  );
});

test("addresses, subnets and URLs are checked before anything is built on them", () => {
  const bad: [string, string, RegExp][] = [
    ["HOSTMESH_PORTS_BIND", "localhost", /an IP address/],
    ["HOSTMESH_PORTS_METRICS_BIND", "10.0.0.256", /an IP address/],
    ["HOSTMESH_CAPTURE_EXCLUDE_SUBNETS", "10.0.0.0/33", /a subnet/],
    ["HOSTMESH_CAPTURE_EXCLUDE_SUBNETS", "10.0.0.0/8; rm", /a subnet/],
    ["HOSTMESH_REGISTRY_VIRTUAL_CIDR4", "fd00::/8", /a subnet/],
    ["HOSTMESH_REGISTRY_VIRTUAL_CIDR6", "10.0.0.0/8", /a subnet such as fd00/],
    ["HOSTMESH_REGISTRY_URLS", "ftp://r", /an http or https URL/],
    ["HOSTMESH_REGISTRY_URLS", "r:15010", /an http or https URL/],
    ["HOSTMESH_HOST", "", /text, not empty/],
  ];
  for (const [name, value, message] of bad) {
    assert.match(problems({ env: { [name]: value } }).join("\n"), message, `${name}=${value}`);
  }
});

test("variables that Kubernetes sets for a service of our name are ignored", () => {
  const config = load({
    env: {
      HOSTMESH_REGISTRY_PORT: "tcp://10.96.0.7:15010",
      HOSTMESH_REGISTRY_PORT_15010_TCP: "tcp://10.96.0.7:15010",
      HOSTMESH_REGISTRY_PORT_15010_TCP_ADDR: "10.96.0.7",
      HOSTMESH_REGISTRY_SERVICE_HOST: "10.96.0.7",
      HOSTMESH_REGISTRY_SERVICE_PORT_HTTP: "15010",
    },
  });
  assert.equal(config.registry.port, 15_010);
});

test("variables that the caller knows to be somebody else's are left alone", () => {
  assert.equal(problems({ env: { HOSTMESH_TOKEN: "x" } }).length, 1);
  assert.deepEqual(problems({ env: { HOSTMESH_TOKEN: "x" }, otherEnv: ["HOSTMESH_TOKEN"] }), []);
});

test("settings that cannot hold together are refused, wherever they come from", () => {
  assert.deepEqual(
    problems({
      env: { HOSTMESH_PORTS_READY: "15020", HOSTMESH_REGISTRY_RECONNECT_MIN_MS: "20000" },
      flags: { balance: { baseEjectionMs: 400_000 } },
    }),
    [
      "all sources|ports.ready|15020 is ports.metrics already",
      "all sources|registry.reconnectMinMs|20000 exceeds registry.reconnectMaxMs 10000",
      "all sources|balance.baseEjectionMs|400000 exceeds balance.maxEjectionMs 300000",
    ],
  );
  const free = { explicit: 0, outbound: 0, admin: 0, metrics: 0, ready: 0 };
  assert.deepEqual(problems({ flags: { ports: free, registry: { port: 0 } } }), []);
});

test("files that cannot be read or parsed are one problem with the place", (t) => {
  const check = (text: string, expected: RegExp): void => {
    assert.match(problems({ file: fileOf(t, text) }).join("\n"), expected, text);
  };
  check("ports:\n  explicit: 1\n  explicit: 2\n", /^hostmesh.yaml:3\|\|Map keys must be unique/);
  check("ports: [1\nzone: a", /^hostmesh.yaml:\d\|\|/);
  check("a: 1\n---\nb: 2\n", /^hostmesh.yaml:\d\|\|.*multiple documents/i);
  check("zone: !!js/function x\n", /^hostmesh.yaml:1\|\|Unresolved tag/);
  check("- a\n", /^hostmesh.yaml\|\|expected settings by name, found \["a"\]/);
  check(`zone: ${"x".repeat(1_100_000)}`, /^hostmesh.yaml\|\|larger than/);
  const layers = Array.from({ length: 12 }, (_, i) => `k${i}: &l${i} [${`*l${i - 1},`.repeat(9)}]`);
  check(`k: &l-1 x\n${layers.join("\n")}`, /^hostmesh.yaml\|\|Excessive alias count/);
  assert.match(problems({ file: "/nowhere/hostmesh.yaml" }).join(), /ENOENT/);
  assert.match(problems({ file: tmpdir() }).join(), /EISDIR/);
});

test("keys that JavaScript knows are settings as little as others", (t) => {
  for (const key of ["__proto__", "constructor", "toString", "hasOwnProperty"]) {
    const found = problems({ file: fileOf(t, `${key}: { explicit: 1 }\nports: { ${key}: 1 }`) });
    assert.equal(found.length, 2, `${key}: ${found.join("\n")}`);
    assert.equal(problems({ flags: JSON.parse(`{"${key}":1}`) }).length, 1, key);
  }
  assert.equal(Object.hasOwn(Object.prototype, "explicit"), false);
});

test("workers and the data folder are resolved from the machine", () => {
  assert.equal(load().workers, 4);
  assert.equal(load({ machine: { ...MACHINE, cpus: 64 } }).workers, 8);
  assert.equal(load({ flags: { workers: 12 } }).workers, 12);
  assert.equal(load().dataDir, "/home/u/.local/state/hostmesh");
  assert.equal(load({ env: { XDG_STATE_HOME: "/s" } }).dataDir, "/s/hostmesh");
  assert.equal(load({ env: { XDG_STATE_HOME: "s" } }).dataDir, "/home/u/.local/state/hostmesh");
  assert.equal(load({ machine: { ...MACHINE, isRoot: true } }).dataDir, "/var/lib/hostmesh");
  assert.equal(load({ flags: { dataDir: "/d" } }).dataDir, "/d");
});

test("the result cannot be changed anywhere", () => {
  const config: { ports: { explicit: number }; registry: { urls: string[] }; zone: string } =
    load();
  assert.throws(() => (config.zone = "b"), TypeError);
  assert.throws(() => (config.ports.explicit = 1), TypeError);
  assert.throws(() => config.registry.urls.push("x"), TypeError);
});

test("the caller's flags and the next load are not touched", () => {
  const flags = { ports: { explicit: "4141" } };
  load({ flags });
  assert.deepEqual(flags, { ports: { explicit: "4141" } });
  assert.equal(load().ports.explicit, 4140);
});

test("an access-log format that cannot be used is refused with its place, before anything starts", () => {
  const set = (telemetry: object) => problems({ flags: { telemetry } });
  assert.deepEqual(set({ accessLog: "text", accessLogFormat: "istio" }), []);
  assert.deepEqual(set({ accessLog: "json", accessLogFormat: "istio" }), []);
  assert.deepEqual(set({ accessLogFormat: '{"a":"%DURATION%"}' }), []);
  const [unknown, ...rest] = set({ accessLogFormat: "%START_TIME% %NOPE%" });
  assert.match(unknown ?? "", /telemetry\.accessLogFormat\|.*%NOPE%.*character 14.*not known/);
  assert.deepEqual(rest, []);
  assert.match(
    set({ accessLog: "json", accessLogFormat: "%DURATION%" })[0] ?? "",
    /is a format for text/,
  );
  assert.match(set({ accessLog: "text", accessLogFormat: "{}" })[0] ?? "", /is a format for JSON/);
  assert.match(set({ accessLogSample: 2 })[0] ?? "", /accessLogSample/);
  assert.deepEqual(problems({ env: { HOSTMESH_TELEMETRY_ACCESS_LOG_SAMPLE: "0.25" } }), []);
});
