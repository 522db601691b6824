import { BlockList, isIPv6 } from "node:net";
import { canonicalAddress } from "../src/core/address.ts";
import { parseJson } from "./live.ts";
import type { Runner } from "./runner.ts";

/** A workload behind an interface without an address of the workload's family. */
export interface Unnumbered {
  readonly address: string;
  readonly interface: string;
}

/** The device on which IPVS keeps the addresses of its services (kube-proxy's ipvs mode). */
const IPVS_DEVICE = "kube-ipvs0";

const ANYWHERE: Readonly<Record<4 | 6, string>> = { 4: "0.0.0.0/0", 6: "::/0" };

/**
 * Which of these workloads REDIRECT cannot serve: the interface that the host's routes name for them has no
 * address of their family. Addresses without a route are left out: there is no interface to judge yet.
 */
export async function unnumberedInterfaces(
  addresses: readonly string[],
  runner: Runner,
): Promise<Unnumbered[]> {
  if (addresses.length === 0) return [];
  const numbered = await numberedInterfaces(runner);
  const found: Unnumbered[] = [];
  for (const family of [4, 6] as const) {
    const members = addresses.filter((address) => isIPv6(address) === (family === 6));
    if (members.length === 0) continue;
    const show = [`-${family}`, "-j", "route", "show", "table", "main"];
    const interfaceOf = routeLookup(parseJson(await runner.run("ip", show)), family);
    for (const address of members) {
      const device = interfaceOf(address);
      if (device === null || numbered.has(`${family} ${device}`)) continue;
      found.push({ address, interface: device });
    }
  }
  return found;
}

/** Addresses of services that IPVS has put on this host; empty where kube-proxy does not run in that mode. */
export async function ipvsAddresses(runner: Runner): Promise<string[]> {
  const links = await addressList(runner);
  const ipvs = links.filter((entry) => entry.device === IPVS_DEVICE && entry.scope !== "link");
  return ipvs.map((entry) => canonicalAddress(entry.address));
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
