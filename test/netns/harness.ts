import { existsSync, rmSync } from "node:fs";
import { kill, Namespace } from "./helpers/namespace.ts";
import { assertPrivileged } from "./helpers/privilege.ts";
import { ShapedLink } from "./helpers/shaped-link.ts";
import { must, outputSync, runSync } from "./helpers/shell.ts";

export interface HostOptions {
  /**
   * How the host's ends of the containers' veth pairs look. unnumbered: no IPv4 address, gateway
   * 169.254.1.1 answered by proxy ARP (Calico); numbered: the gateway's address on every one (ptp, bridges).
   */
  readonly veth: "unnumbered" | "numbered";
  readonly ipv6?: boolean;
}

export interface ContainerOptions {
  readonly address4: string;
  readonly address6?: string;
}

/** All labs of this process, for the handler that runs when it ends. */
const labs = new Set<Lab>();
const PREFIX = "hm-";
/** Namespaces made by this process: several labs may use the same names. */
let made = 0;

/**
 * Hosts and containers in network namespaces. Nothing is ever done to the machine's own namespace, except
 * that the namespaces are made and that veth pairs are made in one of them and moved to the other.
 */
export class Lab {
  readonly #hosts: Host[] = [];

  private constructor() {
    labs.add(this);
  }

  /** @throws Error where this process may not; use `skipReason()` first. */
  static async create(): Promise<Lab> {
    assertPrivileged();
    installExitHandlers();
    await sweep();
    return new Lab();
  }

  /** A namespace that acts as a host: forwards, and has a default route to nowhere. */
  async host(name: string, options: HostOptions): Promise<Host> {
    const index = this.#hosts.length + 1;
    const host = new Host(await makeNamespace(`${name}`), index, options);
    this.#hosts.push(host);
    await host.setUp();
    return host;
  }

  /** Joins two hosts, with routes to each other and to each other's containers, present and future. */
  async link(a: Host, b: Host): Promise<void> {
    const [endA, endB] = [a.nextInterface("link"), b.nextInterface("link")];
    await must("ip", [
      ...["-n", a.namespace.name, "link", "add", endA, "type", "veth"],
      ...["peer", "name", endB, "netns", b.namespace.name],
    ]);
    await a.joinLink(b, endA);
    await b.joinLink(a, endB);
  }

  /** As `link`, by a process that can spoil it at run time. Same seed, same chance. */
  async shapedLink(a: Host, b: Host, seed = 1): Promise<ShapedLink> {
    const [endA, endB] = [a.nextInterface("link"), b.nextInterface("link")];
    const link = await ShapedLink.start([a.namespace, endA], [b.namespace, endB], seed);
    await a.joinLink(b, endA);
    await b.joinLink(a, endB);
    return link;
  }

  /** Kills every process in the namespaces and removes them. */
  async destroy(): Promise<void> {
    for (const host of this.#hosts.splice(0)) await host.destroy();
    labs.delete(this);
  }

  /** The same from an exit handler. */
  destroySync(): void {
    for (const host of this.#hosts.splice(0)) host.destroySync();
    labs.delete(this);
  }
}

/** A namespace with containers. Its own address is on a cable to nowhere, which is its default route. */
export class Host {
  readonly namespace: Namespace;
  readonly address4: string;
  readonly address6: string;
  readonly containers: Container[] = [];
  readonly #index: number;
  readonly #options: HostOptions;
  readonly #peers: { host: Host; device: string }[] = [];
  #interfaces = 0;

  constructor(namespace: Namespace, index: number, options: HostOptions) {
    this.namespace = namespace;
    this.#index = index;
    this.#options = options;
    this.address4 = `10.254.${index}.1`;
    this.address6 = `fd00:254:${index}::1`;
  }

  get ipv6(): boolean {
    return this.#options.ipv6 ?? true;
  }

  /** A name of an interface that is free in this namespace. */
  nextInterface(kind: string): string {
    this.#interfaces += 1;
    return `${kind}${this.#interfaces}`;
  }

  /** The host's end of a container's veth pair is named after the container. */
  async container(name: string, { address4, address6 }: ContainerOptions): Promise<Container> {
    const namespace = await makeNamespace(name);
    const device = `v-${name}`;
    const container = new Container(namespace, address4, address6 ?? null, device);
    this.containers.push(container);
    const host = this.namespace.name;
    await must("ip", [
      ...["-n", host, "link", "add", device, "type", "veth"],
      ...["peer", "name", "eth0", "netns", namespace.name],
    ]);
    const gateway = this.#options.veth === "numbered" ? gatewayOf(address4) : "169.254.1.1";
    await this.namespace.script(this.#hostSide(container, gateway));
    await namespace.script(containerSide(container, gateway, this.ipv6));
    for (const peer of this.#peers) await peer.host.routeTo(this, [container]);
    return container;
  }

  /** Removes a container as a CNI plugin does: the link and the routes at once, so that its address is free. */
  async release(container: Container): Promise<void> {
    const { address4, address6, device, namespace } = container;
    this.containers.splice(this.containers.indexOf(container), 1);
    await must("ip", ["-n", this.namespace.name, "link", "del", device]);
    for (const { host } of this.#peers) await host.forget(this, address4, address6);
    await namespace.destroy();
  }

  /** Takes back what `routeTo` has made for these addresses of a linked host. */
  async forget(peer: Host, address4: string, address6: string | null): Promise<void> {
    const six = address6 !== null && this.ipv6 && peer.ipv6 ? `ip -6 route del ${address6}` : "";
    await this.namespace.script(`ip route del ${address4}/32\n${six}`);
  }

  /** Routes to a linked host and its containers, over the link. */
  async joinLink(peer: Host, device: string): Promise<void> {
    this.#peers.push({ host: peer, device });
    const own = this.#index < peer.#index ? 1 : 2;
    await this.namespace.script(`
      ip link set ${device} addrgenmode none
      ip -6 addr add fe80::${own}/64 dev ${device} nodad
      ip link set ${device} up
      ip route add ${peer.address4}/32 dev ${device} scope link src ${this.address4}
    `);
    await this.routeTo(peer, peer.containers);
    if (!this.ipv6 || !peer.ipv6) return;
    await this.namespace.script(
      `ip -6 route add ${peer.address6} via fe80::${3 - own} dev ${device} src ${this.address6}`,
    );
  }

  /** Routes to these containers of a linked host. */
  async routeTo(peer: Host, containers: readonly Container[]): Promise<void> {
    const link = this.#peers.find((candidate) => candidate.host === peer);
    if (link === undefined) return;
    const via6 = `fe80::${this.#index < peer.#index ? 2 : 1}`;
    for (const { address4, address6 } of containers) {
      const via = `via ${peer.address4} dev ${link.device} onlink src ${this.address4}`;
      await this.namespace.script(`ip route add ${address4}/32 ${via}`);
      if (address6 === null || !this.ipv6) continue;
      await this.namespace.script(`ip -6 route add ${address6} via ${via6} dev ${link.device}`);
    }
  }

  async setUp(): Promise<void> {
    const six = this.ipv6
      ? `
      ip -6 addr add ${this.address6}/128 dev up0 nodad
      ip -6 route add default dev up0
      echo 1 > /proc/sys/net/ipv6/conf/all/forwarding`
      : "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
    await this.namespace.script(`
      ip link set lo up
      ip link add up0 type veth peer name up1
      ip link set up0 arp off addrgenmode none
      ip link set up1 addrgenmode none
      ip link set up1 up
      ip addr add ${this.address4}/32 dev up0
      ip link set up0 up
      ip route add default dev up0
      echo 1 > /proc/sys/net/ipv4/ip_forward
      ${six}
    `);
  }

  async destroy(): Promise<void> {
    for (const container of this.containers.splice(0)) await container.namespace.destroy();
    await this.namespace.destroy();
  }

  destroySync(): void {
    for (const container of this.containers.splice(0)) destroySync(container.namespace.name);
    destroySync(this.namespace.name);
  }

  #hostSide({ address4, address6, device }: Container, gateway: string): string {
    const numbered = this.#options.veth === "numbered";
    const four = numbered
      ? `ip addr add ${gateway}/32 dev ${device}`
      : `echo 1 > /proc/sys/net/ipv4/conf/${device}/proxy_arp
         echo 0 > /proc/sys/net/ipv4/neigh/${device}/proxy_delay`;
    const six = this.ipv6
      ? `ip link set ${device} addrgenmode none
         ip link set ${device} up
         ip -6 addr add fe80::1/64 dev ${device} nodad
         ${address6 === null ? "" : `ip -6 route add ${address6} dev ${device}`}`
      : `ip link set ${device} up`;
    return `${four}\n${six}\nip route add ${address4}/32 dev ${device} scope link\n`;
  }
}

/** A namespace with one interface, `eth0`. */
export class Container {
  readonly namespace: Namespace;
  readonly address4: string;
  readonly address6: string | null;
  /** Name of the host's end of its veth pair. */
  readonly device: string;

  constructor(namespace: Namespace, address4: string, address6: string | null, device: string) {
    this.namespace = namespace;
    this.address4 = address4;
    this.address6 = address6;
    this.device = device;
  }
}

function containerSide({ address4, address6 }: Container, gateway: string, ipv6: boolean): string {
  const six =
    ipv6 && address6 !== null
      ? `ip -6 addr add ${address6}/128 dev eth0 nodad
         ip -6 route add default via fe80::1 dev eth0`
      : "";
  return `
    ip link set lo up
    ip link set eth0 up
    ip addr add ${address4}/32 dev eth0
    ip route add ${gateway} dev eth0 scope link
    ip route add default via ${gateway} dev eth0
    ${six}
  `;
}

/** The first address of the container's /24. */
function gatewayOf(address4: string): string {
  return address4.replace(/\d+$/, "1");
}

async function makeNamespace(name: string): Promise<Namespace> {
  if (!/^[a-z][a-z0-9]{0,11}$/.test(name)) {
    throw new Error(`a name in the lab is up to 12 letters and digits, not ${name}`);
  }
  made += 1;
  const full = `${PREFIX}${process.pid}-${made}-${name}`;
  await must("ip", ["netns", "add", full]);
  return new Namespace(full);
}

function destroySync(name: string): void {
  for (const pid of outputSync("ip", ["netns", "pids", name]).split("\n")) {
    if (pid !== "") kill(Number(pid));
  }
  runSync("ip", ["netns", "del", name]);
  rmSync(`/etc/netns/${name}`, { recursive: true, force: true });
}

/** Namespaces of test processes that are gone (SIGKILL leaves them behind). */
async function sweep(): Promise<void> {
  const names = (await must("ip", ["netns", "list"])).split("\n").map((line) => line.split(" ")[0]);
  for (const name of names) {
    const pid = /^hm-(\d+)-/.exec(name ?? "")?.[1];
    if (name !== undefined && pid !== undefined && !existsSync(`/proc/${pid}`)) destroySync(name);
  }
}

let handlersInstalled = false;

function installExitHandlers(): void {
  if (handlersInstalled) return;
  handlersInstalled = true;
  process.on("exit", () => {
    for (const lab of labs) lab.destroySync();
  });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => process.exit(1));
  }
}
