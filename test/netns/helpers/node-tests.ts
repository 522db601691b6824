import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { install, uninstall } from "../../../iptables/apply.ts";
import { CaptureSets } from "../../../iptables/sets.ts";
import type { CaptureSpec } from "../../../iptables/spec.ts";
import { until } from "../../helpers/until.ts";
import { footprint, spec } from "./capture.ts";
import type { Cni } from "./cni.ts";
import type { MeshContainer } from "./mesh.ts";
import type { Namespace } from "./namespace.ts";
import {
  addresses,
  KUBE_PROXY_MODES,
  type KubeProxyMode,
  Node,
  seen,
  urlsOf,
  urlsOfService,
} from "./node.ts";
import { skipReason } from "./privilege.ts";
import type { LoadReport } from "./reports.ts";

/** So many requests at a time meet both endpoints of a service: chance alone misses one in 2^15 times. */
const ENOUGH = 16;

interface Refusal {
  readonly mode: CaptureSpec["mode"];
  readonly reason: RegExp;
  /** Whose addresses cannot be captured: with REDIRECT, an interface's link-local address does for IPv6. */
  readonly families: readonly (4 | 6)[];
}

/** What has to hold on a node of a network plugin, in a mode of capture and beside kube-proxy in each of its modes. */
export function testNode(
  cni: Cni,
  mode: CaptureSpec["mode"],
  refused: Refusal,
  proxies: readonly KubeProxyMode[] = KUBE_PROXY_MODES,
): void {
  describe(`a node of ${cni}`, { skip: skipReason() }, () => {
    let node: Node;
    before(async () => {
      node = await Node.create(cni);
    });
    after(() => node?.mesh.destroy());

    test(`${refused.mode} is refused, and leaves pods direct`, async () => {
      const { runner } = node.host.namespace;
      const before = await trace(node.host.namespace);
      const wanted = spec({ mode: refused.mode });
      await assert.rejects(install(wanted, { runner, workloads: node.workloads }), refused.reason);
      assert.deepEqual(changes(before, await trace(node.host.namespace)), []);
      const sets = new CaptureSets(runner, wanted);
      await install(wanted, { runner });
      const left = await sets.syncWorkloads(node.workloads);
      const expected = node.workloads.filter((one) =>
        refused.families.includes(one.includes(":") ? 6 : 4),
      );
      assert.deepEqual(left.map(({ address }) => address).sort(), expected.sort());
      await uninstall(runner);
      assert.deepEqual(changes(before, await trace(node.host.namespace)), []);
    });

    for (const proxy of proxies) besideKubeProxy(() => node, mode, proxy);
  });
}

/**
 * Everything that capture may touch, line by line; counters of policies count what others send, and link-local addresses
 * come from the kernel, a while after a link is up.
 */
async function trace(namespace: Namespace): Promise<string[]> {
  const lines = (await footprint(namespace)).replace(/ \[\d+:\d+\]$/gm, "").split("\n");
  return lines.filter((line) => !/^(anycast|local) fe80:/.test(line));
}

/** Lines that have come or gone. */
function changes(before: readonly string[], now: readonly string[]): string[] {
  return [
    ...before.filter((line) => !now.includes(line)).map((line) => `- ${line}`),
    ...now.filter((line) => !before.includes(line)).map((line) => `+ ${line}`),
  ];
}

function besideKubeProxy(nodeOf: () => Node, mode: CaptureSpec["mode"], proxy: KubeProxyMode) {
  describe(`${mode}, kube-proxy in mode ${proxy}`, () => {
    let node: Node;
    let clean: string[];
    let own: string[];
    before(async () => {
      node = nodeOf();
      await node.kubeProxy(proxy);
      clean = await trace(node.host.namespace);
      own = await node.own();
      await node.on.startDaemon({ capture: mode });
      await node.on.untilCaptured(node.client, node.web);
    });
    after(async () => {
      if (node?.on.hasDaemon) await node.on.daemon.end("SIGTERM");
      await node?.noKubeProxy(proxy);
    });

    /** Who answers so many calls at a time; fails where one of them comes from another address than these. */
    async function servers(
      from: MeshContainer,
      url: string,
      sources: readonly string[],
      calls = ENOUGH,
    ) {
      const found = new Set<string>();
      const answers = await Promise.all(Array.from({ length: calls }, () => from.http(url)));
      for (const { server, remote } of answers.map(seen)) {
        assert.ok(
          sources.includes(remote),
          `${from.name} -> ${url}: ${server} was called by ${remote}`,
        );
        found.add(server);
      }
      return found;
    }

    test("calls of workloads are captured, and balanced over the nodes", async () => {
      const { client, web, far } = node;
      for (const url of urlsOfService("web")) {
        assert.deepEqual(await servers(client, url, own), new Set(["far", "web"]), url);
      }
      for (const url of [...urlsOf(web), ...urlsOf(far)]) await servers(client, url, own, 1);
    });

    test("a service that the mesh does not know is kube-proxy's", async () => {
      for (const url of urlsOfService("plain")) {
        assert.equal(seen(await node.client.http(url)).server, "plain", url);
      }
    });

    test("a service without endpoints in Kubernetes is served by those in the mesh", async () => {
      for (const url of urlsOfService("empty")) {
        assert.equal((await node.plain.http(url)).error, "ECONNREFUSED", url);
        assert.equal(seen(await node.client.http(url)).server, "web", url);
      }
    });

    test("probes of the kubelet, node ports and pods that are not enrolled are left alone", async () => {
      const { on, outside, far, web, plain } = node;
      for (const url of [...urlsOf(web), ...urlsOf(plain)]) {
        assert.ok(own.includes(seen(await on.http(url)).remote), `probe of ${url}`);
      }
      for (const { name, url, keepsSource } of node.nodePorts) {
        const { server, remote } = seen(await outside.http(url));
        assert.ok(name === "plain" ? server === "plain" : ["web", "far"].includes(server), url);
        const { address4, address6 } = outside.host;
        if (keepsSource) assert.ok([address4, address6].includes(remote), `${url}: ${remote}`);
      }
      for (const url of urlsOfService("web")) await servers(plain, url, addresses(plain.container));
      for (const url of urlsOf(web)) {
        for (const from of [plain, far]) await servers(from, url, addresses(from.container), 1);
      }
    });

    test("a synchronisation of kube-proxy costs no request", async () => {
      const urls = urlsOfService("web");
      const loads = await Promise.all(urls.map((url) => node.client.load(url, 2, 2, "fresh")));
      const failures: object[] = [];
      const answered = async () => {
        const reports = await Promise.all(loads.map((load) => load.ask<LoadReport>({})));
        failures.push(...reports.filter(({ failed }) => failed > 0));
        return reports.every(({ ok, failed }) => ok + failed > 0);
      };
      await until(answered, { what: "calls before" });
      // A flush of `nat` takes REDIRECT's own rules too, until the guardian looks again.
      if (proxy === "iptables" && mode === "tproxy") await node.flushKubeProxy();
      await node.kubeProxy(proxy);
      await until(answered, { what: "calls while it is being done" });
      await until(answered, { what: "calls after" });
      await Promise.all(loads.map((load) => load.ask<LoadReport>({ stop: true })));
      assert.deepEqual(failures, []);
      for (const url of urls) {
        assert.deepEqual(await servers(node.client, url, own), new Set(["far", "web"]), url);
      }
    });

    test("a guarded workload is the daemon's from outside, and not to be had by a node port", async () => {
      const { mesh, outside, far, web, plain } = node;
      const rules = [{ from: [{ source: { principals: ["cluster.local/ns/x/sa/nobody"] } }] }];
      await mesh.policies({
        apiVersion: "security.istio.io/v1",
        kind: "AuthorizationPolicy",
        metadata: { name: "closed", namespace: "default" },
        spec: { selector: { matchLabels: { app: "web" } }, rules },
      });
      await node.untilGuarded(web);
      for (const url of urlsOf(web)) {
        for (const from of [far, outside, plain]) {
          const { status, text, error } = await from.http(url);
          assert.equal(status, 403, `${from.name} ${url}: ${text ?? error}`);
        }
        assert.equal(seen(await node.on.http(url)).server, "web", "the kubelet's probe");
      }
      for (const { name, url } of node.nodePorts) {
        for (let call = 0; call < ENOUGH; call += 1) {
          const { status, error, text = "" } = await outside.http(url);
          if (status === 200) assert.notEqual(JSON.parse(text).server, "web", url);
          else assert.deepEqual([name, error], ["web", "ECONNREFUSED"], url);
        }
      }
      await mesh.noPolicies();
    });

    test("a daemon that stops leaves pods to kube-proxy, and nothing behind", async () => {
      const { client, on } = node;
      await on.daemon.end("SIGTERM");
      assert.deepEqual(changes(clean, await trace(node.host.namespace)), []);
      for (const url of urlsOfService("web")) {
        const found = await servers(client, url, addresses(client.container));
        assert.deepEqual(found, new Set(["far", "web"]), url);
      }
      for (const url of urlsOfService("empty")) {
        assert.equal((await client.http(url)).error, "ECONNREFUSED", url);
      }
    });
  });
}
