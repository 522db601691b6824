import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { captureControl } from "../../daemon/capture-control.ts";
import { install, uninstall } from "../../iptables/apply.ts";
import type { Runner } from "../../iptables/runner.ts";
import { CaptureSets } from "../../iptables/sets.ts";
import type { CaptureSpec } from "../../iptables/spec.ts";
import { memoryLog } from "../daemon/fixtures.ts";
import { until } from "../helpers/until.ts";
import { type Container, type Host, Lab } from "./harness.ts";
import { type Dialled, dial, footprint, HeldConnection, spec, start } from "./helpers/capture.ts";
import { skipReason } from "./helpers/privilege.ts";

/** What a connection that got no answer at all is given. */
const SILENCE_MS = 1_200;

/** A client, a guarded server, another server and an attacker on one host; a container on another. */
interface Stage {
  readonly lab: Lab;
  readonly host: Host;
  readonly other: Host;
  readonly client: Container;
  readonly server: Container;
  readonly open: Container;
  readonly attacker: Container;
  readonly far: Container;
  readonly runner: Runner;
}

async function makeStage(
  mode: CaptureSpec["mode"],
  uplink: "numbered" | "unnumbered" = "numbered",
): Promise<Stage> {
  const lab = await Lab.create();
  const host = await lab.host("a", { veth: mode === "tproxy" ? "unnumbered" : "numbered" });
  const other = await lab.host("b", { veth: "unnumbered" });
  const client = await host.container("c", { address4: "10.1.0.2", address6: "fd00:1::2" });
  const server = await host.container("s", { address4: "10.1.0.3", address6: "fd00:1::3" });
  const open = await host.container("o", { address4: "10.1.0.4", address6: "fd00:1::4" });
  const attacker = await host.container("x", { address4: "10.1.0.9", address6: "fd00:1::9" });
  await lab.link(host, other);
  const far = await other.container("f", { address4: "10.2.0.2", address6: "fd00:2::2" });
  // Where REDIRECT leads to.
  if (uplink === "numbered") {
    await host.namespace.script(`
      ip addr add 10.254.100.1/32 dev link1
      ip -6 addr add fd00:254:100::1/128 dev link1 nodad
    `);
  }
  await Promise.all([
    ...[server, open].map(({ namespace }) => start(namespace, "echo", "80", "9000")),
    start(host.namespace, "echo", "22"),
    start(far.namespace, "echo", "90"),
    start(host.namespace, "listener", mode, "15001", "proxy", "hold"),
    start(host.namespace, "listener", mode, "15006", "inbound", "hold"),
  ]);
  return { lab, host, other, client, server, open, attacker, far, runner: host.namespace.runner };
}

/** Client and servers enrolled, the server guarded, the daemon alive. */
async function capture({ runner, client, server, open }: Stage, wanted: CaptureSpec) {
  await install(wanted, { runner });
  const sets = new CaptureSets(runner, wanted);
  await sets.refreshAlive();
  await sets.syncWorkloads([client, server, open].flatMap(addresses));
  await sets.syncGuarded(addresses(server));
  return sets;
}

function addresses({ address4, address6 }: Container): string[] {
  return [address4, address6!];
}

async function by(from: Host | Container, address: string, port = 80): Promise<string> {
  const seen = await dial(from.namespace, address, port, SILENCE_MS);
  return seen.by === "error" ? String(seen.code) : seen.by;
}

/** Packets that met a rule. */
async function met(runner: Runner, family: 4 | 6, id: string): Promise<number> {
  const saved = await runner.run(family === 4 ? "iptables-save" : "ip6tables-save", ["-c"]);
  const line = saved.split("\n").find((text) => text.includes(`:${id} `));
  assert.ok(line, `there is no rule ${id}`);
  return Number(/^\[(\d+):/.exec(line)?.[1]);
}

/** From now on the container sends under this address. */
async function forge({ namespace }: Container, victim: Container): Promise<void> {
  const [four, six] = addresses(victim);
  await namespace.script(`
    ip addr add ${four}/32 dev eth0
    ip route change default $(ip route show default | cut -d' ' -f2-5) src ${four}
    ip -6 addr add ${six}/128 dev eth0 nodad
    ip -6 route replace default via fe80::1 dev eth0 src ${six}
  `);
}

for (const mode of ["tproxy", "redirect"] as const) {
  describe(`capture of what comes from outside by ${mode}`, { skip: skipReason() }, () => {
    let stage: Stage;
    before(async () => {
      stage = await makeStage(mode);
    });
    after(() => stage?.lab.destroy());

    test("plaintext to a guarded workload is the daemon's, with both addresses", async () => {
      const before = await footprint(stage.host.namespace);
      const sets = await capture(stage, spec({ mode }));
      const { far, other, server, attacker, client, open, host, runner } = stage;
      const cases: [Host | Container, string][] = [
        [far, far.address4],
        [far, far.address6!],
        [other, other.address4],
        [other, other.address6],
        [attacker, attacker.address4],
        [attacker, attacker.address6!],
      ];
      for (const [from, source] of cases) {
        const target = source.includes(":") ? server.address6! : server.address4;
        const seen = await dial(from.namespace, target, 80);
        const expected: Dialled = {
          by: "inbound",
          destination: { host: target, port: 80 },
          client: source,
        };
        assert.deepEqual(seen, expected, `${source} -> ${target}`);
      }
      for (const address of addresses(open)) assert.equal(await by(far, address), "app");
      // The daemon's own connections to the workload, and the kubelet's.
      for (const address of addresses(server)) assert.equal(await by(host, address), "app");
      for (const address of addresses(server)) assert.equal(await by(client, address), "proxy");
      await sets.syncGuarded([]);
      for (const address of addresses(server)) assert.equal(await by(far, address), "app");
      await uninstall(runner);
      assert.equal(await footprint(host.namespace), before);
    });

    test("what is open when a workload is guarded ends, but for what it has opened itself", async () => {
      const { far, server, runner } = stage;
      // As Docker does; whatever conntrack took for new would change its source.
      const nat = ["-t", "nat", "-A", "POSTROUTING", "-s", "10.1.0.0/24", "-j", "MASQUERADE"];
      const direct = new HeldConnection(far.namespace, server.address4, 80);
      assert.match(await direct.next(), /"by":"app"/);
      const outward = new HeldConnection(server.namespace, far.address4, 90);
      assert.match(await outward.next(), /"by":"app"/);
      const wanted = spec({ mode, onDeath: "closed" });
      const sets = await capture(stage, wanted);
      assert.equal(await outward.echo("guarded"), "guarded");
      await direct.breaks("guarded");
      await runner.run("iptables", nat);
      assert.equal(await outward.echo("conntrack awake"), "conntrack awake");
      const captured = new HeldConnection(far.namespace, server.address4, 80);
      assert.match(await captured.next(), /"by":"inbound"/);
      await sets.syncGuarded([]);
      assert.equal(await captured.echo("not guarded"), "not guarded");
      assert.equal(await outward.echo("not guarded"), "not guarded");
      await sets.syncGuarded(addresses(server));
      const control = captureControl(wanted, memoryLog().log, runner);
      await control.release();
      assert.equal(await captured.echo("released"), "released");
      assert.equal(await by(far, server.address4), "app");
      assert.equal(await by(stage.client, server.address4), "app");
      await uninstall(runner);
      assert.equal(await outward.echo("removed"), "removed");
      await runner.run("nft", ["delete", "table", "ip", "nat"]);
    });

    test("a daemon that is gone lets it through, or has it refused", async () => {
      const { far, server, open, host, runner } = stage;
      const targets = addresses(server);
      const isDirect = async () => (await by(far, server.address4)) === "app";
      const sets = await capture(stage, spec({ mode, deadManMs: 1_000 }));
      assert.equal(await by(far, server.address4), "inbound");
      await until(isDirect, { timeoutMs: 10_000, what: "direct traffic from outside" });
      assert.equal(await by(far, server.address6!), "app");
      await capture(stage, spec({ mode, onDeath: "closed", excludePorts: [9_000] }));
      assert.equal(await by(far, server.address4), "inbound");
      await sets.expireAlive();
      for (const address of targets) assert.equal(await by(far, address), "ECONNREFUSED");
      for (const address of targets) assert.equal(await by(far, address, 9_000), "app");
      for (const address of targets) assert.equal(await by(host, address), "app");
      for (const address of addresses(open)) assert.equal(await by(far, address), "app");
      await uninstall(runner);
    });

    test("what is excluded is excluded from outside too", async () => {
      const { far, other, server, runner } = stage;
      const excludeSubnets = ["10.2.0.0/24", "fd00:2::/64"];
      await capture(stage, spec({ mode, excludePorts: [9_000], excludeSubnets }));
      for (const address of addresses(server)) {
        assert.equal(await by(far, address), "app");
        assert.equal(await by(other, address), "inbound");
        assert.equal(await by(other, address, 9_000), "app");
      }
      await uninstall(runner);
    });

    test("a workload's address from behind another interface is dropped", async () => {
      const { host, server, client, runner } = stage;
      const forger = await host.container("y", { address4: "10.1.0.10", address6: "fd00:1::10" });
      await forge(forger, client);
      await capture(stage, spec({ mode }));
      for (const family of [4, 6] as const) {
        const target = addresses(server)[family === 4 ? 0 : 1]!;
        const before = await met(runner, family, "forged");
        assert.equal(await by(forger, target), "TIMEOUT");
        assert.ok((await met(runner, family, "forged")) > before, `IPv${family}`);
        assert.equal(await by(client, target), "proxy", "the address's owner");
      }
      // Without that rule the answer goes to the owner, who knows nothing of it.
      await capture(stage, spec({ mode, verifySource: false }));
      for (const family of [4, 6] as const) {
        const target = addresses(server)[family === 4 ? 0 : 1]!;
        const before = await met(runner, family, "alive");
        assert.equal(await by(forger, target), "TIMEOUT");
        assert.ok((await met(runner, family, "alive")) > before, `IPv${family}`);
      }
      await uninstall(runner);
    });

    test("a published port leads past the daemon, so it is refused", async () => {
      const { far, client, server, open, host, runner } = stage;
      const publish = (port: string, to: string) =>
        runner.run("iptables", [
          ...["-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", port],
          ...["-j", "DNAT", "--to-destination", `${to}:80`],
        ]);
      await publish("8080", server.address4);
      await publish("8081", open.address4);
      const sets = await capture(stage, spec({ mode }));
      for (const from of [far, client]) {
        assert.equal(await by(from, host.address4, 8_080), "ECONNREFUSED");
        assert.equal(await by(from, host.address4, 8_081), "app");
      }
      await sets.expireAlive();
      assert.equal(await by(far, host.address4, 8_080), "app");
      await uninstall(runner);
      await runner.run("nft", ["delete", "table", "ip", "nat"]);
    });

    test("the host itself is not captured, even where its address is registered", async () => {
      const { far, host, server, runner } = stage;
      const sets = await capture(stage, spec({ mode, onDeath: "closed" }));
      await sets.syncGuarded([host.address4, host.address6, server.address4]);
      assert.equal(await by(far, host.address4, 22), "app");
      assert.equal(await by(far, host.address6, 22), "app");
      assert.equal(await by(far, server.address4), "inbound");
      await uninstall(runner);
    });

    test("answers fit a narrow path: its ICMP errors reach the daemon", async () => {
      const { far, server, other, runner } = stage;
      await other.namespace.script(`
        ip route replace ${far.address4}/32 dev ${far.device} scope link mtu 1300
        ip -6 route replace ${far.address6} dev ${far.device} mtu 1300
      `);
      // What is related to connections that conntrack knows is let in by every firewall; it does not know TPROXY's.
      const tools = mode === "tproxy" ? ["iptables", "ip6tables"] : [];
      for (const tool of tools) await runner.run(tool, ["-P", "INPUT", "DROP"]);
      if (tools.length > 0) {
        const neighbours = ["-A", "INPUT", "-p", "ipv6-icmp", "--icmpv6-type", "135/0"];
        await runner.run("ip6tables", [...neighbours, "-j", "ACCEPT"]);
      }
      await capture(stage, spec({ mode }));
      for (const address of addresses(server)) {
        const flow = new HeldConnection(far.namespace, address, 80);
        assert.match(await flow.next(), /"by":"inbound"/);
        const long = "x".repeat(20_000);
        assert.equal(await flow.echo(long), long);
      }
      await uninstall(runner);
      for (const tool of tools) await runner.run(tool, ["-P", "INPUT", "ACCEPT"]);
    });
  });
}

describe("what comes from outside, where REDIRECT has nowhere to lead it", {
  skip: skipReason(),
}, () => {
  let stage: Stage;
  before(async () => {
    stage = await makeStage("redirect", "unnumbered");
  });
  after(() => stage?.lab.destroy());

  test("is dropped: an uplink without an address does not open a guarded workload", async () => {
    const { attacker, far, server, open } = stage;
    await capture(stage, spec({ mode: "redirect" }));
    assert.equal(await by(attacker, server.address4), "inbound");
    assert.equal(await by(far, server.address4), "TIMEOUT");
    assert.equal(await by(far, open.address4), "app");
  });
});

/** Workloads there are not captured by TPROXY, see `incapableInterfaces`. */
describe("a guarded workload behind a bridge into which br_netfilter looks", {
  skip: skipReason(),
}, () => {
  let lab: Lab;
  let host: Host;
  let other: Host;
  const [peer, guarded] = ["10.7.0.2", "10.7.0.3"] as const;
  before(async () => {
    lab = await Lab.create();
    host = await lab.host("b", { veth: "unnumbered" });
    other = await lab.host("o", { veth: "unnumbered" });
    await host.namespace.script(`
      ip link add br0 type bridge
      ip addr add 10.7.0.1/24 dev br0
      ip link set br0 up
      echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
    `);
    for (const [name, address4] of Object.entries({ x: peer, y: guarded })) {
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
    await lab.link(host, other);
    await other.namespace.script("ip route add 10.7.0.0/24 dev link1 via 10.254.1.1 onlink");
    await start(host.containers[1]!.namespace, "echo", "80");
    await start(host.namespace, "listener", "tproxy", "15006", "inbound");
  });
  after(() => lab?.destroy());

  test("is the daemon's from outside, and closed to its bridge", async () => {
    const { runner } = host.namespace;
    const wanted = spec({ ipv6: false });
    await install(wanted, { runner });
    const sets = new CaptureSets(runner, wanted);
    await sets.refreshAlive();
    assert.equal((await sets.syncWorkloads([peer, guarded])).length, 2);
    const container = host.containers[0]!;
    assert.equal(await by(container, guarded), "app");
    await sets.syncGuarded([guarded]);
    // Answers would be given another source as soon as conntrack took them for new.
    const nat = ["-t", "nat", "-A", "POSTROUTING", "-s", "10.7.0.0/24", "-j", "MASQUERADE"];
    await runner.run("iptables", nat);
    assert.equal(await by(other, guarded), "inbound");
    assert.equal(await by(container, guarded), "ECONNREFUSED");
    assert.equal(await by(host, guarded), "app");
  });
});
