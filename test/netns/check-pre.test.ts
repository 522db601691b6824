import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { execRunner } from "../../iptables/runner.ts";
import { collectNode } from "../../src/cli/check/pre/collect-node.ts";
import { proxyModeOf } from "../../src/cli/check/pre/kube-proxy-findings.ts";
import type { NodeFacts } from "../../src/cli/check/pre/node-facts.ts";
import { podNetworkOf } from "../../src/cli/check/pre/pod-network-findings.ts";
import { type Host, Lab } from "./harness.ts";
import { footprint, spec, start } from "./helpers/capture.ts";
import { skipReason } from "./helpers/privilege.ts";
import { ScratchFolder } from "./helpers/scratch-folder.ts";

const PORTS = [15_006, 15_008, 15_010];
const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

/** What root, or a user without privileges, sees of a namespace in which things were planted. */
describe("check --pre on a node", { skip: skipReason("setpriv") }, () => {
  let lab: Lab;
  let host: Host;
  const folder = new ScratchFolder();
  const cniFolder = join(folder.path, "net.d");
  before(async () => {
    mkdirSync(cniFolder);
    lab = await Lab.create();
    host = await lab.host("n", { veth: "unnumbered" });
    await host.container("x", { address4: "10.1.0.2" });
  });
  after(async () => {
    await lab?.destroy();
    folder.remove();
  });

  const look = (isRoot = true): Promise<NodeFacts> => {
    const { name, runner } = host.namespace;
    const prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    const asNobody = execRunner(["ip", "netns", "exec", name, ...prefix]);
    return collectNode(spec(), PORTS, {
      runner: isRoot ? runner : asNobody,
      machine: execRunner(),
      isRoot,
      cniFolder,
      askProxyMode: () => Promise.resolve(null),
    });
  };

  test("a bare node: capture is tried in a namespace, and nothing is left", async () => {
    const before = await footprint(host.namespace);
    const facts = await look();
    assert.deepEqual(facts.trials, { tproxy: "", redirect: "" });
    assert.deepEqual(facts.missingTools, []);
    assert.equal(facts.cni, null);
    assert.equal(proxyModeOf(facts), "none");
    assert.deepEqual([...(facts.listening ?? [])], []);
    assert.equal(facts.sysctls.get("net.ipv4.ip_forward"), "1");
    const { plugin, routed } = podNetworkOf(facts);
    assert.equal(plugin, null);
    assert.deepEqual(routed.map(({ name, addresses }) => [name, addresses]).sort(), [
      ["up0", ["10.254.1.1", "fd00:254:1::1"]],
      ["up1", []],
      ["v-x", []],
    ]);
    assert.equal(await footprint(host.namespace), before);
    const left = await execRunner().run("ip", ["netns", "list"]);
    assert.ok(!left.includes("hostmesh-pre-"), left);
  });

  test("what is planted is seen: rules, marks, interfaces, plugins, ports", async () => {
    writeFileSync(join(cniFolder, "99-loopback.conf"), '{"type": "loopback"}');
    const list = { plugins: [{ type: "calico" }, { type: "istio-cni" }] };
    writeFileSync(join(cniFolder, "10-calico.conflist"), JSON.stringify(list));
    writeFileSync(join(cniFolder, "00-readme.txt"), "not one");
    await start(host.namespace, "echo", "15008");
    const rules = fileURLToPath(new URL("./kube-proxy/nftables.rules", import.meta.url));
    await host.namespace.exec("sh", ["-eu", rules]);
    await host.namespace.script(`
      ip link add cali0a type veth peer name cali0b
      ip rule add fwmark 0xd00/0xf00 lookup 200 priority 1
      ip rule add from 10.1.0.2 lookup 7 priority 50
      ip route add 203.0.113.0/24 dev lo table 15001
      ip6tables -t mangle -N ISTIO_DIVERT
      ipset create istio-inpod-probes-v4 hash:ip
      echo 0 > /proc/sys/net/ipv4/ip_forward
    `);
    const facts = await look();
    assert.deepEqual(facts.cni, { file: "10-calico.conflist", plugins: ["calico", "istio-cni"] });
    assert.deepEqual([...(facts.listening ?? []).keys()], [15_008]);
    assert.equal(proxyModeOf(facts), "nftables");
    assert.equal(podNetworkOf(facts).plugin, "Calico");
    assert.match(facts.rules.nft ?? "", /^:ISTIO_DIVERT /m);
    assert.ok(facts.sets?.includes("istio-inpod-probes-v4"));
    assert.deepEqual(facts.tableRoutes, ["203.0.113.0/24"]);
    assert.equal(facts.sysctls.get("net.ipv4.ip_forward"), "0");
    const planted = facts.routingRules.filter(({ priority }) => priority > 0 && priority < 80);
    assert.deepEqual(planted, [
      {
        ...{ family: 4, priority: 1, mark: { value: 0xd00, mask: 0xf00 }, selector: "" },
        ...{ table: "200", isOurs: false },
      },
      {
        ...{ family: 4, priority: 50, mark: null, selector: "src 10.1.0.2" },
        ...{ table: "7", isOurs: false },
      },
    ]);
    await host.namespace.script("ip link add kube-ipvs0 type bridge");
    assert.equal(proxyModeOf(await look()), "ipvs");
  });

  test("without root it says what it could not see, and sees the rest", async () => {
    const facts = await look(false);
    assert.equal(facts.trials, null);
    assert.deepEqual(facts.rules, { nft: null, legacy: null });
    assert.equal(facts.sets, null);
    assert.equal(facts.cni?.file, "10-calico.conflist");
    assert.deepEqual([...(facts.listening ?? []).keys()], [15_008]);
    assert.equal(proxyModeOf(facts), "ipvs");
    assert.ok(facts.routingRules.some(({ priority }) => priority === 50));
  });

  test("the command names each of them, with what to do, and ends with 3", async () => {
    const args = [MAIN, "check", "--pre", "--only", "node", "-o", "json"];
    const { code, stdout, stderr } = await host.namespace.run(process.execPath, args);
    assert.equal(code, 3, stderr);
    const groups: {
      group: string;
      findings: { verdict: string; text: string; remedy?: string }[];
    }[] = JSON.parse(stdout);
    const bad = groups
      .flatMap(({ findings }) => findings)
      .filter(({ verdict }) => verdict === "failure" || verdict === "warning");
    const text = bad.map((one) => `${one.verdict}: ${one.text}`).join("\n");
    assert.match(text, /^failure: a routing rule .*fwmark 0xd00\/0xf00/m);
    assert.match(text, /^failure: routing table 15001 holds routes/m);
    assert.match(text, /^failure: net\.ipv4\.ip_forward=0/m);
    assert.match(text, /^failure: port 15008 is used by node .*echo\.ts/m);
    assert.match(text, /^warning: Istio is on this node: ISTIO_DIVERT/m);
    assert.match(text, /^warning: kube-proxy in mode ipvs/m);
    for (const { remedy, text: what } of bad) assert.ok((remedy ?? "") !== "", what);
  });
});
