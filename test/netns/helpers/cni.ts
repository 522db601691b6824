import type { Container, Host } from "../harness.ts";

/** How network plugins join pods to a node, as far as netfilter and routing see it. */
export type Cni = "bridge" | "calico" | "aws" | "cilium";

/**
 * Makes a host of a lab, whose containers exist and have unnumbered interfaces, look like a node of that plugin:
 * names of interfaces, addresses, routes, routing rules, and the rules of netfilter that the plugin itself installs
 * (written down from its sources). `peer` is the other node's address, `uplink` the interface to it.
 */
export async function dress(host: Host, cni: Cni, peer: string, uplink: string): Promise<void> {
  await DRESS[cni](host, peer, uplink);
}

const DRESS: Readonly<Record<Cni, (host: Host, peer: string, uplink: string) => Promise<void>>> = {
  bridge,
  calico,
  aws,
  cilium,
};

/** The bridge plugin under flannel: `cni0` is the pods' gateway, and br_netfilter looks into it, as Kubernetes demands. */
async function bridge(
  { namespace, containers, address4, address6 }: Host,
  _peer: string,
  uplink: string,
): Promise<void> {
  await namespace.script(`
    ip addr add ${address4}/32 dev ${uplink}
    ip -6 addr add ${address6}/128 dev ${uplink} nodad
    ip link add cni0 type bridge
    ip link set cni0 addrgenmode none
    ip addr add 10.1.0.1/24 dev cni0
    ip -6 addr add fd00:1::1/64 dev cni0 nodad
    ip link set cni0 up
    echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
    echo 1 > /proc/sys/net/bridge/bridge-nf-call-ip6tables
    iptables -t nat -N FLANNEL-POSTRTG
    iptables -t nat -A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
    iptables -t nat -A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
    iptables -t nat -A FLANNEL-POSTRTG -s 10.1.0.0/24 -d 10.0.0.0/14 -j RETURN
    iptables -t nat -A FLANNEL-POSTRTG -s 10.0.0.0/14 -d 10.1.0.0/24 -j RETURN
    iptables -t nat -A FLANNEL-POSTRTG -s 10.0.0.0/14 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
    iptables -N FLANNEL-FWD
    iptables -A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
    iptables -A FLANNEL-FWD -s 10.0.0.0/14 -j ACCEPT
    iptables -A FLANNEL-FWD -d 10.0.0.0/14 -j ACCEPT
  `);
  for (const { namespace: pod, address4, address6, device } of containers) {
    await namespace.script(`
      ip route del ${address4}/32
      ip -6 route del ${address6}
      ip -6 addr flush dev ${device}
      echo 0 > /proc/sys/net/ipv4/conf/${device}/proxy_arp
      ip link set ${device} master cni0
    `);
    await pod.script(`
      ip addr flush dev eth0 scope global
      ip addr add ${address4}/24 dev eth0
      ip -6 addr add ${address6}/64 dev eth0 nodad
      ip route replace default via 10.1.0.1
      ip -6 route replace default via fd00:1::1
    `);
  }
}

/** Calico: unnumbered `cali*`, proxy ARP for 169.254.1.1, Felix' check of the reverse path in raw, its chains first. */
async function calico(host: Host): Promise<void> {
  for (const container of host.containers) await rename(host, container, "cali");
  for (const tool of ["iptables", "ip6tables"]) {
    await host.namespace.script(`
      ${tool} -t raw -N cali-PREROUTING
      ${tool} -t raw -I PREROUTING -j cali-PREROUTING
      ${tool} -t raw -A cali-PREROUTING -j MARK --set-xmark 0x0/0xf0000
      ${tool} -t raw -A cali-PREROUTING -i cali+ -j MARK --set-xmark 0x40000/0x40000
      ${tool} -t raw -A cali-PREROUTING -m mark --mark 0x40000/0x40000 -m rpfilter --invert --validmark -j DROP
      ${tool} -N cali-INPUT
      ${tool} -I INPUT -j cali-INPUT
      ${tool} -N cali-wl-to-host
      ${tool} -A cali-INPUT -i cali+ -g cali-wl-to-host
      ${tool} -A cali-wl-to-host -j ACCEPT
      ${tool} -N cali-FORWARD
      ${tool} -I FORWARD -j cali-FORWARD
      ${tool} -A cali-FORWARD -i cali+ -j ACCEPT
      ${tool} -A cali-FORWARD -o cali+ -j ACCEPT
    `);
  }
}

/** AWS VPC CNI: unnumbered `eni*`; every pod has rules of its own: to it by `main`, from it by the table of its network card. */
async function aws(host: Host, peer: string, uplink: string): Promise<void> {
  const { namespace, address4, containers } = host;
  for (const container of containers) await rename(host, container, "eni");
  const pods = containers.map(
    ({ address4: pod }) => `
    ip rule add to ${pod} lookup main priority 512
    ip rule add from ${pod} lookup 2 priority 1536`,
  );
  await namespace.script(`
    ${pods.join("")}
    ip rule add fwmark 0x80/0x80 lookup main priority 1024
    ip route add default via ${peer} dev ${uplink} onlink table 2
    iptables -t mangle -A PREROUTING -i ${uplink} -m addrtype --dst-type LOCAL --limit-iface-in -j CONNMARK --set-xmark 0x80/0x80
    iptables -t mangle -A PREROUTING -i eni+ -j CONNMARK --restore-mark --nfmask 0x80 --ctmask 0x80
    iptables -t nat -N AWS-SNAT-CHAIN-0
    iptables -t nat -A POSTROUTING -j AWS-SNAT-CHAIN-0
    iptables -t nat -A AWS-SNAT-CHAIN-0 -d 10.0.0.0/8 -j RETURN
    iptables -t nat -A AWS-SNAT-CHAIN-0 ! -o vlan+ -m addrtype ! --dst-type LOCAL -j SNAT --to-source ${address4} --random-fully
  `);
}

/**
 * Cilium beside kube-proxy, with endpoint routes: unnumbered `lxc*`, the router's address on `cilium_host`, the rule for
 * local addresses moved behind its own, and its chains. What its programs do on the interfaces is left out: they answer
 * ARP (here a fixed neighbour) and, unless told not to, choose endpoints of services before netfilter sees the packet.
 */
async function cilium(host: Host): Promise<void> {
  const { namespace, containers } = host;
  for (const container of containers) {
    const device = await rename(host, container, "lxc");
    const mac = (await namespace.exec("cat", [`/sys/class/net/${device}/address`])).trim();
    await namespace.script(`echo 0 > /proc/sys/net/ipv4/conf/${device}/proxy_arp`);
    await container.namespace.script(`
      ip route del default
      ip route del 169.254.1.1
      ip route add 10.1.0.1 dev eth0 scope link
      ip neigh replace 10.1.0.1 lladdr ${mac} dev eth0 nud permanent
      ip route add default via 10.1.0.1 mtu 1500
    `);
  }
  await namespace.script(`
    ip link add cilium_host type veth peer name cilium_net
    ip addr add 10.1.0.1/32 dev cilium_host
    ip link set cilium_host up
    ip link set cilium_net up
    ip rule add lookup local priority 100
    ip rule del priority 0
    ip -6 rule add lookup local priority 100
    ip -6 rule del priority 0
    ip rule add fwmark 0x200/0xf00 lookup 2004 priority 9
    ip route add local default dev lo table 2004
  `);
  await namespace.script(`
    iptables -t raw -N CILIUM_PRE_raw
    iptables -t raw -I PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_raw" -j CILIUM_PRE_raw
    iptables -t raw -A CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -j CT --notrack
    iptables -t mangle -N CILIUM_PRE_mangle
    iptables -t mangle -I PREROUTING -m comment --comment "cilium-feeder: CILIUM_PRE_mangle" -j CILIUM_PRE_mangle
    iptables -t mangle -A CILIUM_PRE_mangle -m socket --transparent -m mark ! --mark 0xe00/0xf00 -m mark ! --mark 0x800/0xf00 -j MARK --set-xmark 0x200/0xffffffff
    iptables -N CILIUM_INPUT
    iptables -I INPUT -j CILIUM_INPUT
    iptables -A CILIUM_INPUT -m mark --mark 0x200/0xf00 -j ACCEPT
    iptables -N CILIUM_FORWARD
    iptables -I FORWARD -j CILIUM_FORWARD
    iptables -A CILIUM_FORWARD -i lxc+ -j ACCEPT
    iptables -A CILIUM_FORWARD -o lxc+ -j ACCEPT
  `);
}

/** The host's end of a pod's veth pair under the plugin's name. Routes end with an interface that goes down. */
async function rename(host: Host, container: Container, prefix: string): Promise<string> {
  const { address4, address6, device } = container;
  const name = prefix + device.slice(1);
  await host.namespace.script(`
    ip link set ${device} down
    ip link set ${device} name ${name}
    ip link set ${name} up
    ip -6 addr add fe80::1/64 dev ${name} nodad
    ip route add ${address4}/32 dev ${name} scope link
    ip -6 route add ${address6} dev ${name}
  `);
  return name;
}
