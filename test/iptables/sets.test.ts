import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandError, execRunner, type Runner } from "../../iptables/runner.ts";
import { CaptureSets } from "../../iptables/sets.ts";

interface Call {
  readonly line: string;
  readonly stdin: string;
}

function recorder(replies: Readonly<Record<string, string>> = {}): {
  calls: Call[];
  runner: Runner;
} {
  const calls: Call[] = [];
  const runner: Runner = {
    run: async (command, args, stdin = "") => {
      const line = [command, ...args].join(" ");
      calls.push({ line, stdin });
      return replies[line] ?? "";
    },
  };
  return { calls, runner };
}

test("workloads are exchanged as a whole, in one process, each family in its own set", async () => {
  const { calls, runner } = recorder();
  const sets = new CaptureSets(runner, { mode: "tproxy", ipv6: true, deadManMs: 5_000 });
  await sets.syncWorkloads(["10.0.0.1", "::ffff:10.0.0.2", "FD00::0:1", "10.0.0.1"]);
  const writes = calls.filter((call) => !/^(cat|ip -)/.test(call.line));
  assert.deepEqual(
    writes.map((call) => call.line),
    ["ipset restore"],
  );
  const { stdin } = writes[0]!;
  const next4 = `hostmesh4-${process.pid}`;
  const next6 = `hostmesh6-${process.pid}`;
  assert.deepEqual(stdin.trimEnd().split("\n"), [
    `create ${next4} hash:ip family inet maxelem 65536 -exist`,
    `flush ${next4}`,
    `add ${next4} 10.0.0.1 -exist`,
    `add ${next4} 10.0.0.2 -exist`,
    `swap ${next4} hostmesh4`,
    `destroy ${next4}`,
    `create ${next6} hash:ip family inet6 maxelem 65536 -exist`,
    `flush ${next6}`,
    `add ${next6} fd00::1 -exist`,
    `swap ${next6} hostmesh6`,
    `destroy ${next6}`,
  ]);
});

test("guarded addresses have sets of their own, whatever interface they are behind", async () => {
  const { calls, runner } = recorder();
  const sets = new CaptureSets(runner, { mode: "redirect", ipv6: false, deadManMs: 5_000 });
  await sets.syncGuarded(["::ffff:10.0.0.2"]);
  const next = `hostmesh-guard4-${process.pid}`;
  assert.deepEqual(
    calls.map(({ stdin }) => stdin.trimEnd().split("\n")),
    [
      [
        `create ${next} hash:ip family inet maxelem 65536 -exist`,
        `flush ${next}`,
        `add ${next} 10.0.0.2 -exist`,
        `swap ${next} hostmesh-guard4`,
        `destroy ${next}`,
      ],
    ],
  );
});

test("a text that is no address changes nothing and does not hold up the next call", async () => {
  const { calls, runner } = recorder();
  const sets = new CaptureSets(runner, { mode: "tproxy", ipv6: false, deadManMs: 5_000 });
  const bad = sets.syncWorkloads(["10.0.0.1", "10.0.0.2\nflush foreign"]);
  const good = sets.syncWorkloads(["10.0.0.1"]);
  await assert.rejects(bad, /"10\.0\.0\.2\\nflush foreign" is no address/);
  await good;
  assert.equal(calls.filter((call) => call.line === "ipset restore").length, 1);
});

test("the refresh is two entries per family, in whole seconds, whatever the number of workloads", async () => {
  const { calls, runner } = recorder();
  const sets = new CaptureSets(runner, { mode: "tproxy", ipv6: true, deadManMs: 4_100 });
  await sets.refreshAlive();
  assert.equal(
    calls[0]?.stdin,
    [
      "add hostmesh-alive4 0.0.0.0/1 timeout 5 -exist",
      "add hostmesh-alive4 128.0.0.0/1 timeout 5 -exist",
      "add hostmesh-alive6 ::/1 timeout 5 -exist",
      "add hostmesh-alive6 8000::/1 timeout 5 -exist",
      "",
    ].join("\n"),
  );
  await sets.expireAlive();
  assert.match(calls[1]!.stdin, /^del hostmesh-alive4 0\.0\.0\.0\/1 -exist\n/);
});

test("REDIRECT leaves out what is behind an unnumbered interface, by the longest prefix", async () => {
  const { calls, runner } = recorder({
    "ip -j addr show": JSON.stringify([
      { ifname: "cni0", addr_info: [{ family: "inet", local: "10.0.0.1", scope: "global" }] },
      { ifname: "v-2", addr_info: [] },
      { ifname: "v-6", addr_info: [{ family: "inet6", local: "fe80::1", tentative: true }] },
    ]),
    "ip -4 -j route show table main": JSON.stringify([
      { dst: "default", dev: "eth9" },
      { dst: "10.0.0.0/24", dev: "cni0" },
      { dst: "10.0.0.7", dev: "v-2" },
    ]),
    "ip -6 -j route show table main": JSON.stringify([{ dst: "fd00::7", dev: "v-6" }]),
  });
  const sets = new CaptureSets(runner, { mode: "redirect", ipv6: true, deadManMs: 5_000 });
  const refused = await sets.syncWorkloads(["10.0.0.5", "10.0.0.7", "fd00::7", "fd00::8"]);
  assert.deepEqual(
    refused.map((entry) => `${entry.address} ${entry.interface}`),
    ["10.0.0.7 v-2", "fd00::7 v-6"],
  );
  const script = calls.at(-1)!.stdin;
  assert.match(script, /add \S+ 10\.0\.0\.5 /);
  assert.match(script, /add \S+ fd00::8 /);
  assert.doesNotMatch(script, /10\.0\.0\.7|fd00::7/);
});

test("an exchange is tried again while somebody lists sets, and for no other reason", async () => {
  const pauses: number[] = [];
  let errors: string[] = [];
  let runs = 0;
  const runner: Runner = {
    run: async (command) => {
      if (command !== "ipset") return "";
      runs += 1;
      const stderr = errors.shift();
      if (stderr === undefined) return "";
      throw new CommandError("ipset restore", stderr, false, "", null);
    },
  };
  const pause = async (ms: number) => pauses.push(ms);
  const options = { mode: "tproxy", ipv6: false, deadManMs: 5_000, pause } as const;
  const sets = new CaptureSets(runner, options);
  const busy = "ipset v7.17: Error in line 4: Kernel error received: Device or resource busy";
  errors = [busy, "Set cannot be destroyed: it is in use by a kernel component"];
  await sets.syncGuarded(["10.0.0.1"]);
  assert.equal(runs, 3);
  assert.deepEqual(pauses, [10, 20]);

  errors = ["The set with the given name does not exist", busy];
  await assert.rejects(sets.syncGuarded(["10.0.0.1"]), /does not exist/);
  assert.equal(runs, 4);

  errors = Array.from({ length: 100 }, () => busy);
  await assert.rejects(sets.syncGuarded(["10.0.0.1"]), /busy/);
  assert.equal(runs, 24, "it gives up");
});

test("a command that fails keeps its words, one that is missing names the package", async () => {
  const runner = execRunner();
  await assert.rejects(runner.run("sh", ["-c", "echo broken thing >&2; exit 4"]), {
    name: "CommandError",
    stderr: "broken thing\n",
    message: /sh -c .* failed: broken thing/,
  });
  const absent = execRunner(["/nonexistent/prefix"]);
  await assert.rejects(absent.run("ipset", ["list"]), {
    missing: true,
    message: /Debian package ipset: apt-get install ipset/,
  });
  await assert.rejects(
    runner.run("sh", ["-c", "echo 'Permission denied (you must be root)' >&2; exit 4"]),
    {
      message: /needs root, or CAP_NET_ADMIN/,
    },
  );
});
