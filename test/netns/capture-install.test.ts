import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { dryRunText, install, stepText, uninstall } from "../../iptables/apply.ts";
import { ipv6Works, ipvsAddresses } from "../../iptables/interfaces.ts";
import { readLive } from "../../iptables/live.ts";
import type { Runner } from "../../iptables/runner.ts";
import { CaptureSets } from "../../iptables/sets.ts";
import { type Host, Lab } from "./harness.ts";
import { dial, footprint, spec, start } from "./helpers/capture.ts";
import { skipReason } from "./helpers/privilege.ts";

describe("installation", { skip: skipReason() }, () => {
  let lab: Lab;
  let host: Host;
  before(async () => {
    lab = await Lab.create();
    host = await lab.host("i", { veth: "unnumbered" });
    await host.container("x", { address4: "10.3.0.2", address6: "fd00:3::2" });
  });
  after(() => lab?.destroy());

  test("leaves foreign rules, sets and routes byte for byte as they were", async () => {
    const { namespace } = host;
    await namespace.script(`
      iptables -t raw -A PREROUTING -p udp --dport 53 -j ACCEPT
      iptables -t mangle -N FOREIGN
      iptables -t mangle -A FOREIGN -j MARK --set-mark 7
      iptables -t mangle -A POSTROUTING -p icmp -j FOREIGN
      iptables -P FORWARD DROP
      iptables -A FORWARD -m comment --comment "not ours" -j ACCEPT
      iptables -t nat -A POSTROUTING -s 10.3.0.0/24 -j MASQUERADE
      ip6tables -A INPUT -p tcp --dport 23 -j REJECT
      ipset create foreign hash:ip
      ipset add foreign 10.3.0.2
      iptables -A INPUT -m set --match-set foreign src -p tcp --dport 1 -j DROP
      ip rule add priority 500 fwmark 7 lookup 700
      ip route add blackhole 192.0.2.0/24 table 700
    `);
    const before = await footprint(namespace);
    const tproxy = spec({ onDeath: "closed" });
    const redirect = spec({ mode: "redirect", ipv6: false });
    for (const sequence of [[tproxy], [redirect], [tproxy, redirect, { ...tproxy, ipv6: false }]]) {
      for (const wanted of sequence) {
        await install(wanted, { runner: namespace.runner });
        assert.notEqual(await footprint(namespace), before);
      }
      await uninstall(namespace.runner);
      assert.equal(await footprint(namespace), before);
    }
    assert.deepEqual(await uninstall(namespace.runner), []);
  });

  test("a second one changes nothing, a changed spec replaces the chains", async () => {
    const { runner } = host.namespace;
    await install(spec(), { runner });
    const first = await footprint(host.namespace);
    assert.deepEqual(await install(spec(), { runner }), []);
    assert.equal(await footprint(host.namespace), first);
    const steps = await install(spec({ outboundPort: 15_002 }), { runner });
    assert.deepEqual(
      steps.map((step) => step.command),
      ["iptables-restore", "ip6tables-restore"],
    );
    const changed = await footprint(host.namespace);
    assert.match(changed, /--on-port 15002/);
    assert.doesNotMatch(changed, /--on-port 15001/);
    await uninstall(runner);
  });

  test("runs exactly what the dry run prints", async () => {
    const { runner } = host.namespace;
    const wanted = spec({
      onDeath: "closed",
      excludePorts: [22],
      excludeSubnets: ["192.0.2.0/24"],
    });
    const printed = dryRunText(wanted, await readLive(runner, "required"));
    const ran: string[] = [];
    const recorder: Runner = {
      run: (command, args, stdin) => {
        const reads = /-save$|^nft list|^ip -\d -j|-V$|^ipset list/;
        if (!reads.test([command, ...args].join(" "))) {
          ran.push(stepText(stdin === undefined ? { command, args } : { command, args, stdin }));
        }
        return runner.run(command, args, stdin);
      },
    };
    await install(wanted, { runner: recorder });
    assert.equal(ran.join("\n"), printed);
    await uninstall(runner);
  });

  test("can be pasted from the dry run into a shell", async () => {
    const before = await footprint(host.namespace);
    const wanted = spec({ onDeath: "closed" });
    const { runner } = host.namespace;
    await host.namespace.script(dryRunText(wanted, await readLive(runner, "required")));
    assert.deepEqual(await install(wanted, { runner }), []);
    await uninstall(runner);
    assert.equal(await footprint(host.namespace), before);
  });

  test("that fails half-way is undone, back to the spec before", async () => {
    const { runner } = host.namespace;
    const bare = await footprint(host.namespace);
    let broken = true;
    const once: Runner = {
      run: (command, args, stdin) => {
        if (!broken || command !== "ip6tables-restore") return runner.run(command, args, stdin);
        broken = false;
        return runner.run("sh", ["-c", "echo no such table >&2; exit 3"]);
      },
    };
    await assert.rejects(
      install(spec(), { runner: once }),
      /everything was undone: .*no such table/,
    );
    assert.equal(await footprint(host.namespace), bare);

    await install(spec(), { runner });
    const installed = await footprint(host.namespace);
    broken = true;
    const other = spec({ outboundPort: 15_009, onDeath: "closed", mark: 0x77 });
    await assert.rejects(install(other, { runner: once }), /everything was undone/);
    assert.equal(await footprint(host.namespace), installed);
    await uninstall(runner);
    assert.equal(await footprint(host.namespace), bare);
  });

  test("by REDIRECT refuses an interface without IPv4 address and names it", async () => {
    const before = await footprint(host.namespace);
    const { runner } = host.namespace;
    const wanted = spec({ mode: "redirect", ipv6: false });
    await assert.rejects(
      install(wanted, { runner, workloads: ["10.3.0.2"] }),
      /workload 10\.3\.0\.2 is behind interface v-x: it has no address of this family/,
    );
    assert.equal(await footprint(host.namespace), before);
    await install(wanted, { runner });
    const sets = new CaptureSets(runner, wanted);
    const refused = await sets.syncWorkloads(["10.3.0.2"]);
    assert.deepEqual(
      refused.map((entry) => entry.interface),
      ["v-x"],
    );
    assert.match(await runner.run("ipset", ["list", "hostmesh4", "-terse"]), /entries: 0/);
    await uninstall(runner);
  });

  test("refuses a mark or a routing table that somebody else uses", async () => {
    const { runner } = host.namespace;
    await runner.run("ip", ["rule", "add", "priority", "600", "fwmark", "0x99", "lookup", "main"]);
    await assert.rejects(install(spec({ mark: 0x99 }), { runner }), /mark 0x99 is used/);
    await runner.run("ip", ["route", "add", "blackhole", "192.0.2.0/28", "table", "800"]);
    await assert.rejects(install(spec({ table: 800 }), { runner }), /table 800 holds a route/);
  });

  test("captures a service address that IPVS has made local, once it is known", async () => {
    const { runner } = host.namespace;
    await host.namespace.script(`
      ip link add kube-ipvs0 type veth peer name unused
      ip addr add 10.96.0.10/32 dev kube-ipvs0
    `);
    assert.deepEqual(await ipvsAddresses(runner), ["10.96.0.10"]);
    await start(host.namespace, "listener", "tproxy", "15001");
    await install(spec(), { runner });
    const sets = new CaptureSets(runner, spec());
    await sets.refreshAlive();
    await sets.syncWorkloads(["10.3.0.2"]);
    const { namespace } = host.containers[0]!;
    assert.equal((await dial(namespace, "10.96.0.10", 80)).code, "ECONNREFUSED");
    await sets.syncVirtualAddresses(await ipvsAddresses(runner));
    assert.equal((await dial(namespace, "10.96.0.10", 80)).by, "proxy");
    await uninstall(runner);
  });
});

/**
 * Two containers on a bridge of the host (docker0, cni0). Where br_netfilter looks into bridges, only
 * REDIRECT works, and it sees even connections that do not leave the bridge.
 */
describe("containers on a bridge", { skip: skipReason() }, () => {
  let lab: Lab;
  let host: Host;
  const [x, y] = ["10.7.0.2", "10.7.0.3"] as const;
  before(async () => {
    lab = await Lab.create();
    host = await lab.host("b", { veth: "unnumbered", ipv6: false });
    await host.namespace.script(`
      ip link add br0 type bridge
      ip addr add 10.7.0.1/24 dev br0
      ip link set br0 up
    `);
    for (const [name, address4] of [
      ["x", x],
      ["y", y],
    ] as const) {
      const { namespace, device } = await host.container(name, { address4 });
      await host.namespace.script(`
        ip route del ${address4}
        echo 0 > /proc/sys/net/ipv4/conf/${device}/proxy_arp
        ip link set ${device} master br0
      `);
      await namespace.script(`
        ip addr flush dev eth0 scope global
        ip addr add ${address4}/24 dev eth0
        ip route replace default via 10.7.0.1
      `);
    }
    await start(host.containers[1]!.namespace, "echo", "80");
    await start(host.namespace, "listener", "tproxy", "15001");
    await start(host.namespace, "listener", "redirect", "15002");
  });
  after(() => lab?.destroy());

  const bridgeFilter = (value: 0 | 1): Promise<string> =>
    host.namespace.script(`echo ${value} > /proc/sys/net/bridge/bridge-nf-call-iptables`);

  test("TPROXY refuses where br_netfilter is on, and captures routed traffic where it is off", async () => {
    const { runner } = host.namespace;
    const wanted = spec({ ipv6: false });
    await bridgeFilter(1);
    await assert.rejects(
      install(wanted, { runner, workloads: [x] }),
      /interface br0: it is a bridge/,
    );
    await install(wanted, { runner });
    const sets = new CaptureSets(runner, wanted);
    await sets.refreshAlive();
    assert.equal((await sets.syncWorkloads([x]))[0]?.interface, "br0");
    assert.equal((await dial(host.containers[0]!.namespace, y, 80)).by, "app");
    await bridgeFilter(0);
    assert.deepEqual(await sets.syncWorkloads([x]), []);
    assert.equal((await dial(host.containers[0]!.namespace, "203.0.113.1", 80)).by, "proxy");
    assert.equal((await dial(host.containers[0]!.namespace, y, 80)).by, "app");
    await uninstall(runner);
  });

  test("a host without IPv6 is captured on IPv4 alone, and says so when IPv6 is asked for", async () => {
    const { runner } = host.namespace;
    assert.equal(await ipv6Works(runner), false);
    const other = await lab.host("six", { veth: "unnumbered" });
    assert.equal(await ipv6Works(other.namespace.runner), true);
    const before = await footprint(host.namespace);
    await assert.rejects(install(spec(), { runner }), /everything was undone: ip -6 /);
    assert.equal(await footprint(host.namespace), before);
  });

  test("REDIRECT captures both, closed refuses both where br_netfilter is on", async () => {
    const { runner } = host.namespace;
    const client = host.containers[0]!.namespace;
    const wanted = spec({
      mode: "redirect",
      outboundPort: 15_002,
      ipv6: false,
      onDeath: "closed",
    });
    await bridgeFilter(1);
    await install(wanted, { runner, workloads: [x] });
    const sets = new CaptureSets(runner, wanted);
    await sets.refreshAlive();
    await sets.syncWorkloads([x]);
    for (const address of ["203.0.113.1", y]) {
      const seen = await dial(client, address, 80);
      assert.deepEqual(seen, { by: "proxy", destination: { host: address, port: 80 }, client: x });
    }
    await sets.expireAlive();
    assert.equal((await dial(client, y, 80)).code, "ECONNREFUSED");
    assert.equal((await dial(client, "203.0.113.1", 80)).code, "ECONNREFUSED");
    await uninstall(runner);
  });
});
