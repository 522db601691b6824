import { DEMO_PREFIX, type DemoInstance } from "./application.ts";

/**
 * Addresses of the demo's containers. 198.18.0.0/15 is set aside for tests of network devices (RFC 2544,
 * RFC 6890) and is routed nowhere; fd48:4d44:4d4f::/48 is a unique local prefix (RFC 4193).
 */
const SUBNET4 = "198.18.77";
const SUBNET6 = "fd48:4d44:4d4f:";
/** The first hop inside a container. No interface has this address: a permanent neighbour entry does. */
const GATEWAY4 = "169.254.1.1";
const GATEWAY6 = "fe80::1";

/** Name of the host's end of a container's veth pair, by the container's number. */
export const LINK_PATTERN = /^hmd\d+$/;

export interface ContainerPlan {
  readonly name: string;
  readonly namespace: string;
  readonly link: string;
  readonly address4: string;
  /** Null where the host has no IPv6. */
  readonly address6: string | null;
  /** Arguments for `ip`, in order. */
  readonly commands: readonly (readonly string[])[];
  /** Files under /proc/sys and what to write there; per interface, so they vanish with it. */
  readonly sysctls: readonly (readonly [file: string, value: string])[];
}

/**
 * What makes one container: a network namespace that is joined to the host by a veth pair whose host end has
 * no IPv4 address, the form that Calico uses and that REDIRECT cannot serve.
 */
export function planContainer(
  instance: Pick<DemoInstance, "name">,
  number: number,
  ipv6: boolean,
): ContainerPlan {
  const namespace = DEMO_PREFIX + instance.name;
  const link = `hmd${number}`;
  const address4 = `${SUBNET4}.${number}`;
  const address6 = ipv6 ? `${SUBNET6}:${number.toString(16)}` : null;
  const suffix = number.toString(16).padStart(2, "0");
  const hostMac = `02:48:4d:00:00:${suffix}`;
  const innerMac = `02:48:4d:00:01:${suffix}`;
  const inner = (words: string): string[] => ["-n", namespace, ...words.split(" ")];
  const commands = [
    ["netns", "add", namespace],
    `link add ${link} address ${hostMac} type veth peer name eth0 address ${innerMac} netns ${namespace}`.split(
      " ",
    ),
    inner("link set lo up"),
    inner("link set eth0 up"),
    inner(`addr add ${address4}/32 dev eth0`),
    inner(`route add ${GATEWAY4} dev eth0 scope link`),
    inner(`route add default via ${GATEWAY4} dev eth0`),
    inner(`neigh replace ${GATEWAY4} lladdr ${hostMac} dev eth0 nud permanent`),
    `link set ${link} up`.split(" "),
    `neigh replace ${address4} lladdr ${innerMac} dev ${link} nud permanent`.split(" "),
    `route replace ${address4}/32 dev ${link} scope link`.split(" "),
  ];
  if (address6 !== null) {
    commands.push(
      inner(`addr add ${address6}/128 dev eth0 nodad`),
      inner(`route add ${GATEWAY6} dev eth0`),
      inner(`-6 route add default via ${GATEWAY6} dev eth0`),
      inner(`neigh replace ${GATEWAY6} lladdr ${hostMac} dev eth0 nud permanent`),
      `neigh replace ${address6} lladdr ${innerMac} dev ${link} nud permanent`.split(" "),
      `route replace ${address6}/128 dev ${link}`.split(" "),
    );
  }
  return {
    name: instance.name,
    namespace,
    link,
    address4,
    address6,
    commands,
    sysctls: sysctls(link, ipv6),
  };
}

/**
 * Forwarding is switched on for these interfaces only, so that containers can talk directly while the daemon
 * is gone; the host's own setting is not touched. `force_forwarding` is IPv6's per-interface switch and exists
 * on recent kernels only.
 */
function sysctls(link: string, ipv6: boolean): [string, string][] {
  const entries: [string, string][] = [
    [`net/ipv4/conf/${link}/forwarding`, "1"],
    [`net/ipv4/conf/${link}/rp_filter`, "0"],
  ];
  if (ipv6) entries.push([`net/ipv6/conf/${link}/force_forwarding`, "1"]);
  return entries;
}

/** `/etc/hosts` of a container: every service by its name and virtual addresses. */
export function hostsFile(
  services: readonly { name: string; addresses: readonly string[] }[],
): string {
  const lines = ["127.0.0.1 localhost", "::1 localhost"];
  for (const { name, addresses } of services) {
    for (const address of addresses) lines.push(`${address} ${name} ${name}.default`);
  }
  return `${lines.join("\n")}\n`;
}
