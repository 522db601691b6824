import { BlockList, isIPv6 } from "node:net";
import { canonicalAddress } from "../src/core/address.ts";
import { parseJson } from "./live.ts";
import { CommandError, type Runner } from "./runner.ts";

/** A workload that cannot be captured in this mode, and why. */
export interface Incapable {
  readonly address: string;
  /** The host's interface behind which it is. */
  readonly interface: string;
  readonly reason: string;
}

/** The device on which IPVS keeps the addresses of its services (kube-proxy's ipvs mode). */
const IPVS_DEVICE = "kube-ipvs0";

const ANYWHERE: Readonly<Record<4 | 6, string>> = { 4: "0.0.0.0/0", 6: "::/0" };

const UNNUMBERED =
  "it has no address of this family, and the kernel rewrites redirected packets to the first address of the incoming interface and drops them where there is none; use mode tproxy";
const BRIDGED =
  "it is a bridge whose packets pass iptables before they are routed (net.bridge.bridge-nf-call-iptables or -ip6tables is 1), and the kernel forgets TPROXY's choice of a socket on the way up; use mode redirect";

/** Bridged packets pass the rules of IPv4, IPv6, in this order. */
const BRIDGE_SWITCHES = [
  "/proc/sys/net/bridge/bridge-nf-call-iptables",
  "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
];

/**
 * Which of these workloads cannot be captured: with REDIRECT, those behind an interface without an address of
 * their family; with TPROXY, those behind a bridge that br_netfilter looks into. Addresses without a route
 * are left out: there is no interface to judge yet.
 */
export async function incapableInterfaces(
  mode: "tproxy" | "redirect",
  addresses: readonly string[],
  runner: Runner,
): Promise<Incapable[]> {
  if (addresses.length === 0) return [];
  const bad = mode === "redirect" ? await unnumbered(runner) : await filteredBridges(runner);
  const found: Incapable[] = [];
  for (const family of [4, 6] as const) {
    const members = addresses.filter((address) => isIPv6(address) === (family === 6));
    const reasonOf = bad[family];
    if (members.length === 0 || reasonOf === null) continue;
    const show = [`-${family}`, "-j", "route", "show", "table", "main"];
    const interfaceOf = routeLookup(parseJson(await runner.run("ip", show)), family);
    for (const address of members) {
      const device = interfaceOf(address);
      const reason = device === null ? null : reasonOf(device);
      if (device !== null && reason !== null) found.push({ address, interface: device, reason });
    }
  }
  return found;
}

/** Why an interface is not capable; null for a family in which all are. */
type Judges = Readonly<Record<4 | 6, ((device: string) => string | null) | null>>;

async function unnumbered(runner: Runner): Promise<Judges> {
  const numbered = await numberedInterfaces(runner);
  const judge = (family: 4 | 6) => (device: string) =>
    numbered.has(`${family} ${device}`) ? null : UNNUMBERED;
  return { 4: judge(4), 6: judge(6) };
}

async function filteredBridges(runner: Runner): Promise<Judges> {
  const [four, six] = await bridgeSwitches(runner);
  if (!four && !six) return { 4: null, 6: null };
  const links = parseJson(await runner.run("ip", ["-j", "link", "show", "type", "bridge"]));
  const bridges = new Set(links.map((link) => String(link["ifname"])));
  const judge = (device: string): string | null => (bridges.has(device) ? BRIDGED : null);
  return { 4: four ? judge : null, 6: six ? judge : null };
}

async function bridgeSwitches(runner: Runner): Promise<[boolean, boolean]> {
  try {
    const [four, six] = (await runner.run("cat", BRIDGE_SWITCHES)).split("\n");
    return [four === "1", six === "1"];
  } catch (error) {
    // The files do not exist where br_netfilter is not loaded.
    if (error instanceof CommandError) return [false, false];
    throw error;
  }
}

/** Addresses of services that IPVS has put on this host; empty where kube-proxy does not run in that mode. */
export async function ipvsAddresses(runner: Runner): Promise<string[]> {
  const links = await addressList(runner);
  const ipvs = links.filter((entry) => entry.device === IPVS_DEVICE && entry.scope !== "link");
  return ipvs.map((entry) => canonicalAddress(entry.address));
}

/** All addresses of this host, those of services that IPVS has put here left out. */
export async function hostAddresses(runner: Runner): Promise<string[]> {
  const own = (await addressList(runner)).filter((entry) => entry.device !== IPVS_DEVICE);
  return [...new Set(own.map((entry) => entry.address))];
}

/** Can IPv6 be captured here (`capture.ipv6: auto`)? The loopback interface has its address and ip6tables answers. */
export async function ipv6Works(runner: Runner): Promise<boolean> {
  const loopback = (await addressList(runner)).some((entry) => entry.address === "::1");
  if (!loopback) return false;
  try {
    await runner.run("ip6tables-save", []);
    return true;
  } catch (error) {
    if (error instanceof CommandError) return false;
    throw error;
  }
}

/** Longest prefix first. Host routes, of which there is one per workload, are found by their text. */
function routeLookup(
  routes: readonly Record<string, unknown>[],
  family: 4 | 6,
): (address: string) => string | null {
  const hosts = new Map<string, string>();
  const prefixes: { bits: number; list: BlockList; device: string }[] = [];
  const kind = family === 4 ? "ipv4" : "ipv6";
  for (const route of routes) {
    const device = route["dev"];
    if (typeof device !== "string") continue;
    const text = route["dst"] === "default" ? ANYWHERE[family] : String(route["dst"]);
    const [network = "", bits] = text.split("/");
    if (bits === undefined) {
      hosts.set(canonicalAddress(network), device);
      continue;
    }
    const list = new BlockList();
    list.addSubnet(network, Number(bits), kind);
    prefixes.push({ bits: Number(bits), list, device });
  }
  prefixes.sort((a, b) => b.bits - a.bits);
  return (address) =>
    hosts.get(canonicalAddress(address)) ??
    prefixes.find(({ list }) => list.check(address, kind))?.device ??
    null;
}

async function numberedInterfaces(runner: Runner): Promise<Set<string>> {
  const entries = await addressList(runner);
  return new Set(entries.map((entry) => `${entry.family} ${entry.device}`));
}

interface AddressEntry {
  readonly device: string;
  readonly family: 4 | 6;
  readonly address: string;
  readonly scope: string;
}

async function addressList(runner: Runner): Promise<AddressEntry[]> {
  const links = parseJson(await runner.run("ip", ["-j", "addr", "show"]));
  return links.flatMap((link) => {
    const entries: unknown[] = Array.isArray(link["addr_info"]) ? link["addr_info"] : [];
    return entries.flatMap((entry) => addressEntry(String(link["ifname"]), entry));
  });
}

/** A tentative IPv6 address is not usable yet (duplicate address detection). */
function addressEntry(device: string, entry: unknown): AddressEntry[] {
  if (typeof entry !== "object" || entry === null) return [];
  const fields = new Map<string, unknown>(Object.entries(entry));
  if (fields.get("tentative") === true) return [];
  const family = fields.get("family") === "inet6" ? 6 : 4;
  const scope = String(fields.get("scope"));
  return [{ device, family, address: String(fields.get("local")), scope }];
}
