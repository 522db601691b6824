import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { install, uninstall } from "../../iptables/apply.ts";
import { execRunner, type Runner } from "../../iptables/runner.ts";
import { CaptureSets } from "../../iptables/sets.ts";
import { check } from "../../iptables/validate.ts";
import { type Container, type Host, Lab } from "./harness.ts";
import { dial, footprint, spec, start } from "./helpers/capture.ts";
import { skipReason } from "./helpers/privilege.ts";

/** A service of the recording, and its endpoint. */
const SERVICE = { v4: "10.96.0.20", v6: "fd00:96::20" };
const RULES = fileURLToPath(new URL("./kube-proxy/nftables.rules", import.meta.url));

describe("REDIRECT beside kube-proxy's mode nftables", { skip: skipReason() }, () => {
  let lab: Lab;
  let host: Host;
  let client: Container;
  let server: Container;
  let far: Container;
  let runner: Runner;
  before(async () => {
    lab = await Lab.create();
    host = await lab.host("n", { veth: "numbered" });
    const other = await lab.host("o", { veth: "unnumbered" });
    client = await host.container("c", { address4: "10.1.0.2", address6: "fd00:1::2" });
    server = await host.container("s", { address4: "10.1.0.4", address6: "fd00:1::4" });
    await lab.link(host, other);
    far = await other.container("f", { address4: "10.2.0.2", address6: "fd00:2::2" });
    runner = host.namespace.runner;
    // Where REDIRECT leads what comes from outside.
    await host.namespace.script(`
      ip addr add 10.254.100.1/32 dev link1
      ip -6 addr add fd00:254:100::1/128 dev link1 nodad
    `);
    await Promise.all([
      start(server.namespace, "echo", "8080"),
      start(host.namespace, "listener", "redirect", "15001"),
      start(host.namespace, "listener", "redirect", "15006", "inbound"),
    ]);
  });
  after(() => lab?.destroy());

  const kubeProxyStarts = () => host.namespace.exec("sh", ["-eu", RULES]);
  const noKubeProxy = () =>
    host.namespace.script("nft delete table ip kube-proxy; nft delete table ip6 kube-proxy");
  const by = async (from: Container, address: string, port: number): Promise<string> => {
    const seen = await dial(from.namespace, address, port);
    return seen.by === "error" ? String(seen.code) : seen.by;
  };
  /** Who answers a call of the service, by each family. */
  const service = async (): Promise<string[]> => [
    await by(client, SERVICE.v4, 80),
    await by(client, SERVICE.v6, 80),
  ];
  const hasTable = async () => (await runner.run("nft", ["list", "tables"])).includes("hostmesh");

  test("comes before it however often it starts, and goes with it", async () => {
    const wanted = spec({ mode: "redirect" });
    const before = await footprint(host.namespace);
    await install(wanted, { runner });
    const sets = new CaptureSets(runner, wanted);
    await sets.refreshAlive();
    await sets.syncWorkloads([client.address4, client.address6!]);
    assert.equal(await hasTable(), false);
    await kubeProxyStarts();
    assert.deepEqual(await service(), ["app", "app"], "kube-proxy's chains are the younger ones");
    assert.notDeepEqual(await install(wanted, { runner }), []);
    assert.deepEqual(await service(), ["proxy", "proxy"]);
    await kubeProxyStarts();
    assert.deepEqual(await service(), ["proxy", "proxy"]);
    assert.deepEqual(await install(wanted, { runner }), []);
    await noKubeProxy();
    await install(wanted, { runner });
    assert.equal(await hasTable(), false);
    assert.equal(await by(client, "10.1.0.4", 8_080), "proxy");
    await uninstall(runner);
    assert.equal(await footprint(host.namespace), before);
  });

  test("judges what comes from outside, and refuses what a dead daemon cannot take", async () => {
    await kubeProxyStarts();
    const before = await footprint(host.namespace);
    const wanted = spec({ mode: "redirect", onDeath: "closed" });
    await install(wanted, { runner });
    const sets = new CaptureSets(runner, wanted);
    await sets.refreshAlive();
    await sets.syncGuarded([server.address4, server.address6!]);
    await sets.syncWorkloads([client.address4, client.address6!, server.address4]);
    for (const address of [server.address4, server.address6!]) {
      assert.equal(await by(far, address, 8_080), "inbound");
      assert.equal(await by(client, address, 8_080), "proxy");
    }
    assert.deepEqual(await service(), ["proxy", "proxy"]);
    await sets.expireAlive();
    const refused = ["ECONNREFUSED", "ECONNREFUSED"];
    assert.deepEqual(await service(), refused);
    assert.equal(await by(far, server.address4, 8_080), "ECONNREFUSED");
    assert.equal(await by(client, host.address4, 1), "ECONNREFUSED");
    await uninstall(runner);
    assert.equal(await footprint(host.namespace), before);
    assert.deepEqual(await service(), ["app", "app"]);
    await noKubeProxy();
  });

  test("check proves it by connections, and misses the chain that was deleted by hand", async () => {
    await kubeProxyStarts();
    const wanted = spec({ mode: "redirect" });
    await install(wanted, { runner });
    await new CaptureSets(runner, wanted).refreshAlive();
    const good = await check(wanted, { runner, machine: execRunner() });
    assert.deepEqual(
      good.steps.filter((step) => !step.ok),
      [],
    );
    await runner.run("nft", ["delete", "table", "ip", "hostmesh"]);
    const bad = await check(wanted, { runner, connect: false });
    const text = bad.steps.map(({ detail }) => detail).join("\n");
    assert.match(text, /The chain nft ip hostmesh redirect-[0-9a-f]{8} is missing\./);
    await install(wanted, { runner });
    assert.ok((await check(wanted, { runner, machine: execRunner() })).ok);
    await uninstall(runner);
    await noKubeProxy();
  });

  test("a mark that another routing rule uses is refused", async () => {
    await kubeProxyStarts();
    await host.namespace.script("ip rule add fwmark 0x4d4d/0xffff lookup 7");
    const wanted = spec({ mode: "redirect" });
    await assert.rejects(install(wanted, { runner }), /mark 0x4d4d is used by another/);
    await host.namespace.script("ip rule del fwmark 0x4d4d/0xffff lookup 7");
    await noKubeProxy();
    await install(wanted, { runner });
    await uninstall(runner);
  });
});
