import { fileURLToPath } from "node:url";
import { until } from "../../helpers/until.ts";
import type { Container, Host } from "../harness.ts";
import { type Cni, dress } from "./cni.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./mesh.ts";
import type { HttpAnswer } from "./reports.ts";

/** Modes of kube-proxy of which there is a recording (`kube-proxy/record.sh`). */
export const KUBE_PROXY_MODES = ["iptables", "nftables"] as const;
export type KubeProxyMode = (typeof KUBE_PROXY_MODES)[number];

/** Services of the recording. `empty` has no endpoint in Kubernetes. */
export const SERVICES = {
  web: { v4: "10.96.0.10", v6: "fd00:96::10", nodePort: 30_080 },
  plain: { v4: "10.96.0.20", v6: "fd00:96::20", nodePort: 30_081 },
  empty: { v4: "10.96.0.30", v6: "fd00:96::30" },
} as const;

/** What the application saw (`app.ts`). */
interface Seen {
  readonly server: string;
  readonly remote: string;
}

/**
 * A node with kube-proxy's rules and a network plugin's, and another host that stands for the rest of the cluster. Pods
 * `client` and `web` are workloads of the mesh; `plain` is not, nor is its service known there; `far` is on the other host.
 */
export class Node {
  readonly mesh: Mesh;
  readonly on: MeshHost;
  readonly outside: MeshHost;
  readonly client: MeshContainer;
  readonly web: MeshContainer;
  readonly plain: MeshContainer;
  readonly far: MeshContainer;

  private constructor(mesh: Mesh, hosts: MeshHost[], pods: MeshContainer[]) {
    this.mesh = mesh;
    [this.on, this.outside] = hosts as [MeshHost, MeshHost];
    [this.client, this.web, this.plain, this.far] = pods as [
      MeshContainer,
      MeshContainer,
      MeshContainer,
      MeshContainer,
    ];
  }

  /** The daemon is not started yet. */
  static async create(cni: Cni): Promise<Node> {
    const mesh = await Mesh.create();
    try {
      const on = await mesh.host("a", { veth: "unnumbered" });
      const outside = await mesh.host("b", { veth: "unnumbered" });
      const pods = [
        await on.container("client", { address4: "10.1.0.2", address6: "fd00:1::2" }),
        await on.container("web", { address4: "10.1.0.3", address6: "fd00:1::3" }),
        await on.container("plain", { address4: "10.1.0.4", address6: "fd00:1::4" }),
        await outside.container("far", { address4: "10.2.0.2", address6: "fd00:2::2" }),
      ];
      await dress(on.host, cni, outside.host.address4, await uplinkOf(on.host, outside.host));
      const node = new Node(mesh, [on, outside], pods);
      await Promise.all([
        ...[node.web, node.plain, node.far].map((pod) => pod.app()),
        mesh.startRegistry(on),
      ]);
      await node.#register();
      return node;
    } catch (error) {
      await mesh.destroy();
      throw error;
    }
  }

  get host(): Host {
    return this.on.host;
  }

  /** Addresses of workloads of the mesh on this node. */
  get workloads(): string[] {
    return [this.client, this.web].flatMap(({ container }) => addresses(container));
  }

  /** `kube-proxy` synchronises: at first, or again. */
  async kubeProxy(mode: KubeProxyMode): Promise<void> {
    const file = fileURLToPath(new URL(`../kube-proxy/${mode}.rules`, import.meta.url));
    await this.host.namespace.exec("sh", ["-eu", file]);
  }

  /** Takes kube-proxy's rules away, and leaves those of others. */
  async noKubeProxy(mode: KubeProxyMode): Promise<void> {
    const { namespace } = this.host;
    if (mode === "iptables") await this.#removeKubeChains("raw mangle nat filter");
    else await namespace.script("nft delete table ip kube-proxy; nft delete table ip6 kube-proxy");
  }

  /** What kube-proxy has in `nat` is gone, as after somebody's flush; others would put theirs back at once. */
  async flushKubeProxy(): Promise<void> {
    await this.#removeKubeChains("nat");
  }

  async #removeKubeChains(tables: string): Promise<void> {
    for (const tool of ["iptables", "ip6tables"]) {
      const saved = await this.host.namespace.exec(`${tool}-save`);
      for (const section of saved.split(/^\*/m).slice(1)) {
        const [table = "", ...lines] = section.split("\n");
        const chains = lines.flatMap((line) => /^:(KUBE-\S+)/.exec(line)?.[1] ?? []);
        if (!tables.includes(table) || chains.length === 0) continue;
        const jumps = lines.filter((line) => /^-A (?!KUBE-).* -j KUBE-/.test(line));
        const script = [
          `*${table}`,
          ...chains.map((chain) => `:${chain} - [0:0]`),
          ...jumps.map((line) => line.replace("-A", "-D")),
          ...chains.map((chain) => `-X ${chain}`),
          "COMMIT\n",
        ];
        await this.host.namespace.exec(`${tool}-restore`, ["--noflush"], script.join("\n"));
      }
    }
  }

  /** Every address of the node itself: as whom the daemon, and the kubelet, call a pod. */
  async own(): Promise<string[]> {
    const text = await this.host.namespace.exec("ip", ["-j", "addr", "show"]);
    const links: { addr_info: { local: string }[] }[] = JSON.parse(text);
    return links.flatMap(({ addr_info }) => addr_info.map(({ local }) => local));
  }

  /** The node's ports of both services, by both families. */
  get nodePorts(): { name: "web" | "plain"; url: string; keepsSource: boolean }[] {
    const { address4, address6 } = this.host;
    return (["web", "plain"] as const).flatMap((name) =>
      [address4, `[${address6}]`].map((host) => ({
        name,
        url: `http://${host}:${SERVICES[name].nodePort}/`,
        // externalTrafficPolicy: Local
        keepsSource: name === "plain",
      })),
    );
  }

  async untilGuarded({ name, container }: MeshContainer): Promise<void> {
    const held = async () => {
      const sets = await this.host.namespace.exec("ipset", ["save"]);
      return addresses(container).every((one) =>
        sets.includes(`add hostmesh-guard${one.includes(":") ? 6 : 4} ${one}\n`),
      );
    };
    await until(held, { what: `a guard for ${name}` });
  }

  async #register(): Promise<void> {
    const { client, web, far } = this;
    const service = (name: string, { v4, v6 }: { v4: string; v6: string }) => ({
      ...{ name, ports: [{ name: "http", port: 80 }], addresses: [v4, v6] },
    });
    await this.mesh.apply({
      services: [service("web", SERVICES.web), service("empty", SERVICES.empty)],
      workloads: [client.account, web.account],
      endpoints: [
        { ...this.on.endpoint("web-near", "web", web), portName: "http" },
        { ...this.outside.endpoint("web-far", "web", far), portName: "http" },
        { ...this.on.endpoint("empty-near", "empty", web), portName: "http" },
      ],
    });
  }
}

/** The application of a pod, by each of its addresses. */
export function urlsOf({ container }: MeshContainer): string[] {
  return addresses(container).map((one) => `http://${one.includes(":") ? `[${one}]` : one}:8080/`);
}

/** A service, by each of its addresses. */
export function urlsOfService(name: keyof typeof SERVICES): string[] {
  const { v4, v6 } = SERVICES[name];
  return [`http://${v4}/`, `http://[${v6}]/`];
}

/** What the application saw of a request, or fails with what came instead. */
export function seen(answer: HttpAnswer): Seen {
  if (answer.status !== 200) {
    throw new Error(`no answer: ${answer.status ?? ""} ${answer.error ?? ""} ${answer.text ?? ""}`);
  }
  return JSON.parse(answer.text ?? "");
}

export function addresses({ address4, address6 }: Container): string[] {
  return address6 === null ? [address4] : [address4, address6];
}

async function uplinkOf(from: Host, to: Host): Promise<string> {
  const routes = await from.namespace.exec("ip", ["-j", "route", "show", to.address4]);
  const [route]: { dev: string }[] = JSON.parse(routes);
  if (route === undefined) throw new Error(`there is no route to ${to.address4}`);
  return route.dev;
}
