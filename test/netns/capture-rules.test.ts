import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { install, uninstall } from "../../iptables/apply.ts";
import { readLive } from "../../iptables/live.ts";
import { execRunner, type Runner } from "../../iptables/runner.ts";
import { CaptureSets } from "../../iptables/sets.ts";
import type { CaptureSpec } from "../../iptables/spec.ts";
import { check } from "../../iptables/validate.ts";
import { until } from "../helpers/until.ts";
import { type Container, type Host, Lab } from "./harness.ts";
import { dial, footprint, HeldConnection, spec, start } from "./helpers/capture.ts";
import { skipReason } from "./helpers/privilege.ts";

/** Two containers on one host, one on another that is linked to it. */
interface Stage {
  readonly lab: Lab;
  readonly host: Host;
  readonly client: Container;
  readonly server: Container;
  readonly far: Container;
  readonly runner: Runner;
}

async function makeStage(veth: "unnumbered" | "numbered"): Promise<Stage> {
  const lab = await Lab.create();
  const host = await lab.host("a", { veth });
  const other = await lab.host("b", { veth: "unnumbered" });
  const client = await host.container("c", { address4: "10.1.0.2", address6: "fd00:1::2" });
  const server = await host.container("s", { address4: "10.1.0.3", address6: "fd00:1::3" });
  await lab.link(host, other);
  const far = await other.container("f", { address4: "10.2.0.2", address6: "fd00:2::2" });
  await Promise.all([
    start(server.namespace, "echo", "80", "9000"),
    start(far.namespace, "echo", "80"),
    start(host.namespace, "echo", "22", "4140"),
  ]);
  return { lab, host, client, server, far, runner: host.namespace.runner };
}

/** Installed, the client enrolled, the daemon alive. */
async function capture({ runner, client }: Stage, wanted: CaptureSpec): Promise<CaptureSets> {
  await install(wanted, { runner, workloads: [client.address4] });
  const sets = new CaptureSets(runner, wanted);
  await sets.refreshAlive();
  await sets.syncWorkloads([client.address4, client.address6!]);
  return sets;
}

for (const mode of ["tproxy", "redirect"] as const) {
  describe(`capture by ${mode}`, { skip: skipReason() }, () => {
    let stage: Stage;
    before(async () => {
      stage = await makeStage(mode === "tproxy" ? "unnumbered" : "numbered");
      await start(stage.host.namespace, "listener", mode, "15001");
      await start(stage.host.namespace, "listener", mode, "15006");
    });
    after(() => stage?.lab.destroy());

    test("sees the original destination and the source, IPv4 and IPv6", async () => {
      const before = await footprint(stage.host.namespace);
      await capture(stage, spec({ mode }));
      const { client } = stage;
      const cases = [
        ["10.1.0.3", client.address4],
        ["10.2.0.2", client.address4],
        ["203.0.113.9", client.address4],
        ["fd00:1::3", client.address6],
        ["fd00:2::2", client.address6],
        ["2001:db8::9", client.address6],
      ] as const;
      for (const [host, source] of cases) {
        const seen = await dial(client.namespace, host, 80);
        assert.deepEqual(seen, { by: "proxy", destination: { host, port: 80 }, client: source });
      }
      await uninstall(stage.runner);
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "app");
      assert.equal(await footprint(stage.host.namespace), before);
    });

    test("leaves the host, probes and excluded ports and subnets alone, in both directions", async () => {
      const { client, server, host, far } = stage;
      const exclusions = { excludePorts: [9_000], excludeSubnets: ["10.2.0.0/24", "fd00:2::/64"] };
      const sets = await capture(stage, spec({ mode, ...exclusions }));
      await sets.syncWorkloads([client.address4, client.address6!, server.address4]);
      const direct = async (
        from: Host | Container,
        address: string,
        port: number,
        source: string,
      ) => {
        const seen = await dial(from.namespace, address, port);
        assert.deepEqual(seen, { by: "app", client: source }, `${source} -> ${address}:${port}`);
      };
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      await direct(client, "10.1.0.3", 9_000, client.address4);
      await direct(client, "fd00:1::3", 9_000, client.address6!);
      await direct(client, far.address4, 80, client.address4);
      await direct(client, far.address6!, 80, client.address6!);
      await direct(far, server.address4, 80, far.address4);
      await direct(client, host.address4, 22, client.address4);
      await direct(client, host.address4, 4_140, client.address4);
      await direct(client, host.address6, 22, client.address6!);
      // A kubelet's probe: from the host to a captured container.
      const kubelet = mode === "tproxy" ? host.address4 : "10.1.0.1";
      await direct(host, server.address4, 80, kubelet);
      await direct(host, host.address4, 22, host.address4);
      await uninstall(stage.runner);
    });

    test("keeps established direct flows, with conntrack asleep and awake", async () => {
      const { client, runner } = stage;
      const flow = new HeldConnection(client.namespace, "10.1.0.3", 80);
      assert.match(await flow.next(), /"by":"app"/);
      await capture(stage, spec({ mode, onDeath: "closed" }));
      assert.equal(await flow.echo("after installation"), "after installation");
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      await uninstall(runner);

      await runner.run("iptables", ["-t", "nat", "-A", "POSTROUTING", "-p", "udp", "-j", "ACCEPT"]);
      assert.equal(await flow.echo("conntrack awake"), "conntrack awake");
      await capture(stage, spec({ mode, onDeath: "closed" }));
      assert.equal(await flow.echo("after the second"), "after the second");
      await uninstall(runner);
      assert.equal(await flow.echo("after removal"), "after removal");
      await runner.run("iptables", ["-t", "nat", "-F"]);
    });

    test("a workload that leaves is direct at once, thousands are one exchange", async () => {
      const { client } = stage;
      const sets = await capture(stage, spec({ mode }));
      const many = Array.from({ length: 5_000 }, (_, n) => `10.9.${n >> 8}.${n & 255}`);
      await sets.syncWorkloads([...many, client.address4]);
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      await sets.syncWorkloads(many);
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "app");
      await sets.syncWorkloads([]);
      const left = await stage.runner.run("ipset", ["list", "-n"]);
      assert.doesNotMatch(left, /hostmesh\d-\d/);
      await uninstall(stage.runner);
    });

    test("open: direct within 10 s of the last refresh", async () => {
      const { client } = stage;
      const sets = await capture(stage, spec({ mode, deadManMs: 1_000 }));
      await sets.refreshAlive();
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      await until(async () => (await dial(client.namespace, "10.1.0.3", 80)).by === "app", {
        timeoutMs: 10_000,
        what: "direct IPv4 traffic",
      });
      assert.equal((await dial(client.namespace, "fd00:1::3", 80)).by, "app");
      await uninstall(stage.runner);
    });

    test("closed: reset at once within 10 s of the last refresh, what is excluded goes on", async () => {
      const { client, server, host, far } = stage;
      const wanted = spec({ mode, onDeath: "closed", deadManMs: 1_000, excludePorts: [9_000] });
      const sets = await capture(stage, wanted);
      await sets.refreshAlive();
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      const refused = async (address: string): Promise<boolean> => {
        const seen = await dial(client.namespace, address, 80);
        return seen.code === "ECONNREFUSED" && (seen.ms ?? 9e9) < 500;
      };
      await until(() => refused("10.1.0.3"), { timeoutMs: 10_000, what: "a reset" });
      assert.ok(await refused("10.2.0.2"));
      assert.ok(await refused("203.0.113.9"));
      assert.ok(await refused("fd00:1::3"));
      assert.equal((await dial(client.namespace, "10.1.0.3", 9_000)).by, "app");
      assert.equal((await dial(client.namespace, host.address4, 22)).by, "app");
      assert.equal((await dial(host.namespace, client.address4, 1)).code, "ECONNREFUSED");
      assert.equal((await dial(host.namespace, server.address4, 80)).by, "app");
      assert.equal((await dial(far.namespace, server.address4, 80)).by, "app");
      await sets.refreshAlive();
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      await sets.expireAlive();
      assert.ok(await refused("10.1.0.3"));
      await uninstall(stage.runner);
    });

    test("reaches the listener through a host firewall that drops by default", async () => {
      const { client, runner } = stage;
      await runner.run("iptables", ["-P", "INPUT", "DROP"]);
      await capture(stage, spec({ mode }));
      assert.equal((await dial(client.namespace, "10.1.0.3", 80)).by, "proxy");
      await uninstall(runner);
      await runner.run("iptables", ["-P", "INPUT", "ACCEPT"]);
      await runner.run("nft", ["delete", "table", "ip", "filter"]);
    });

    test("sees the service address although another rule would rewrite it (kube-proxy)", async () => {
      const { client, runner } = stage;
      const match = ["-t", "nat", "-A", "PREROUTING", "-p", "tcp", "-d", "10.96.0.1"];
      await runner.run("iptables", [...match, "-j", "DNAT", "--to-destination", "10.1.0.3"]);
      assert.equal((await dial(client.namespace, "10.96.0.1", 80)).by, "app");
      const sets = await capture(stage, spec({ mode, onDeath: "closed" }));
      const seen = await dial(client.namespace, "10.96.0.1", 80);
      assert.deepEqual(seen.destination, { host: "10.96.0.1", port: 80 });
      await sets.expireAlive();
      assert.equal((await dial(client.namespace, "10.96.0.1", 80)).code, "ECONNREFUSED");
      await uninstall(runner);
      assert.equal((await dial(client.namespace, "10.96.0.1", 80)).by, "app");
      await runner.run("nft", ["delete", "table", "ip", "nat"]);
    });

    test("check proves capture by a connection and names what was deleted by hand", async () => {
      const { runner } = stage;
      const wanted = spec({ mode });
      await capture(stage, wanted);
      const before = await footprint(stage.host.namespace);
      const good = await check(wanted, { runner, machine: execRunner() });
      assert.deepEqual(
        good.steps.filter((step) => !step.ok),
        [],
      );
      assert.ok(good.steps.some((step) => step.name === "connection IPv6"));
      assert.ok(good.steps.some((step) => step.name === "connection from outside IPv6"));
      const timeouts = / timeout \d+/g;
      const now = await footprint(stage.host.namespace);
      assert.equal(now.replace(timeouts, ""), before.replace(timeouts, ""));

      const table = mode === "tproxy" ? "raw" : "nat";
      const live = await readLive(runner, "required");
      const chain = live.families[0]!.chains.find(
        (c) => c.table === table && c.name === "HOSTMESH_PREROUTING",
      )!;
      const place = chain.rules.findIndex((rule) => rule.includes(":alive "));
      await runner.run("iptables", ["-t", table, "-D", chain.name, String(place + 1)]);
      await runner.run("iptables", ["-t", table, "-I", "PREROUTING", "-p", "tcp", "-j", "ACCEPT"]);
      const bad = await check(wanted, { runner, machine: execRunner() });
      assert.equal(bad.ok, false);
      const text = bad.steps
        .filter((step) => !step.ok)
        .map((step) => `${step.name}: ${step.detail}`);
      assert.match(
        text.join("\n"),
        /alive: The rule "alive" of iptables \w+ HOSTMESH_PREROUTING is missing/,
      );
      assert.match(text.join("\n"), /stands at place 2/);
      assert.match(text.join("\n"), /connection IPv4: /);

      await install(wanted, { runner });
      assert.ok((await check(wanted, { runner, machine: execRunner() })).ok);
      await uninstall(runner);
      await runner.run("nft", ["delete", "table", "ip", table]);
    });
  });
}
