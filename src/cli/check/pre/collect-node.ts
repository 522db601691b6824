import { parseJson } from "../../../../iptables/live.ts";
import { ROUTE_PROTOCOL } from "../../../../iptables/plan.ts";
import type { Runner } from "../../../../iptables/runner.ts";
import type { CaptureSpec } from "../../../../iptables/spec.ts";
import { parseListeners, type portOwners } from "../listeners.ts";
import { type HostReader, hostReader } from "./host-reader.ts";
import type { Link, NodeFacts, RoutingRule } from "./node-facts.ts";
import { tryCapture } from "./try-capture.ts";

/** What TPROXY, REDIRECT and the sets need of the kernel. */
export const MODULES = [
  "xt_TPROXY",
  "xt_socket",
  "xt_set",
  "xt_CT",
  "xt_addrtype",
  "xt_multiport",
  "xt_rpfilter",
  "ip_set_hash_ip",
  "ip_set_hash_net",
  "nf_conntrack",
] as const;

const TOOLS: readonly (readonly [command: string, flag: string])[] = [
  ["iptables", "-V"],
  ["iptables-restore", "-V"],
  ["ip6tables", "-V"],
  ["ipset", "-v"],
  ["ip", "-V"],
  ["nft", "-v"],
];

const SYSCTLS = [
  "net.ipv4.ip_forward",
  "net.ipv6.conf.all.forwarding",
  "net.ipv4.conf.all.rp_filter",
  "net.ipv4.conf.default.rp_filter",
  "net.ipv4.conf.all.src_valid_mark",
  "net.bridge.bridge-nf-call-iptables",
  "net.bridge.bridge-nf-call-ip6tables",
  "net.netfilter.nf_conntrack_count",
  "net.netfilter.nf_conntrack_max",
];

export interface NodeSources {
  readonly runner: Runner;
  /** Makes the namespace in which capture is tried; default: `runner`. */
  readonly machine?: Runner;
  readonly isRoot: boolean;
  /** Where the container runtime finds its network plugins. */
  readonly cniFolder?: string;
  /** What kube-proxy answers to /proxyMode; null: nothing does. */
  readonly askProxyMode: () => Promise<string | null>;
  /** Who has these ports; default: reads the sockets, and names nobody. */
  readonly owners?: typeof portOwners;
}

/** Looks at this node and changes nothing, but for a namespace that is made and removed where root may do that. */
export async function collectNode(
  spec: CaptureSpec,
  ports: readonly number[],
  sources: NodeSources,
): Promise<NodeFacts> {
  const { runner, machine = runner, isRoot, cniFolder = "/etc/cni/net.d" } = sources;
  const host = hostReader(runner);
  const kernel = (await host.run("uname", ["-r"]))?.trim() ?? "";
  const version = await host.run("iptables", ["-V"]);
  return {
    isRoot,
    kernel,
    missingModules: await missingModules(host, kernel),
    trials: isRoot ? await tryCapture(spec, machine) : null,
    missingTools: await missingTools(host),
    backend: version === null ? null : version.includes("nf_tables") ? "nft" : "legacy",
    rules: { nft: await saved(host, "nft"), legacy: await saved(host, "legacy") },
    ruleset: await host.run("nft", ["-t", "list", "ruleset"]),
    links: await links(host),
    routingRules: [...(await routingRules(host, 4)), ...(await routingRules(host, 6))],
    tableRoutes: await tableRoutes(host, spec.table),
    sysctls: await sysctls(host),
    cni: await networkPlugins(host, cniFolder),
    proxyMode: await sources.askProxyMode(),
    listening: await (sources.owners ?? ((wanted) => listening(host, wanted)))(ports),
    connectPrograms: await connectPrograms(host),
    sets: (await host.run("ipset", ["list", "-n"]))?.split("\n").filter(Boolean) ?? null,
  };
}

async function missingTools(host: HostReader): Promise<string[]> {
  const missing: string[] = [];
  for (const [command, flag] of TOOLS) {
    if ((await host.run(command, [flag])) === null) missing.push(command);
  }
  return missing;
}

async function missingModules(host: HostReader, kernel: string): Promise<string[] | null> {
  const folder = `/lib/modules/${kernel}`;
  const loadable = await host.read(`${folder}/modules.dep`);
  if (loadable === null) return null;
  const builtin = (await host.read(`${folder}/modules.builtin`)) ?? "";
  const loaded = (await host.read("/proc/modules")) ?? "";
  return MODULES.filter(
    (name) =>
      !new RegExp(`^${name} `, "m").test(loaded) &&
      ![builtin, loadable].some((text) => text.includes(`/${name}.ko`)),
  );
}

/** Both families of one kernel interface; commands of the other interface may not be installed. */
async function saved(host: HostReader, backend: "nft" | "legacy"): Promise<string | null> {
  const four = await host.run(`iptables-${backend}-save`, []);
  const six = await host.run(`ip6tables-${backend}-save`, []);
  return four === null && six === null ? null : `${four ?? ""}${six ?? ""}`;
}

async function links(host: HostReader): Promise<Link[]> {
  const entries = parseJson((await host.run("ip", ["-j", "-d", "addr", "show"])) ?? "");
  return entries.map((entry) => {
    const info = record(entry["linkinfo"]);
    const flags: unknown[] = Array.isArray(entry["flags"]) ? entry["flags"] : [];
    const addresses: unknown[] = Array.isArray(entry["addr_info"]) ? entry["addr_info"] : [];
    return {
      name: String(entry["ifname"]),
      kind: String(info["info_kind"] ?? ""),
      master: String(entry["master"] ?? ""),
      isUp: flags.includes("UP"),
      addresses: addresses
        .map(record)
        .filter((one) => one["scope"] !== "link")
        .map((one) => String(one["local"])),
    };
  });
}

async function routingRules(host: HostReader, family: 4 | 6): Promise<RoutingRule[]> {
  const entries = parseJson((await host.run("ip", [`-${family}`, "-j", "rule", "show"])) ?? "");
  return entries.map((entry) => {
    const mark = entry["fwmark"];
    const asks = (["src", "dst", "iif", "oif"] as const)
      .filter((key) => entry[key] !== undefined && entry[key] !== "all")
      .map((key) => `${key} ${String(entry[key])}`);
    return {
      family,
      priority: Number(entry["priority"]),
      mark:
        mark === undefined
          ? null
          : { value: Number(mark), mask: Number(entry["fwmask"] ?? 0xffffffff) },
      selector: asks.join(" "),
      table: String(entry["table"] ?? entry["action"] ?? ""),
      isOurs: entry["protocol"] === String(ROUTE_PROTOCOL),
    };
  });
}

async function tableRoutes(host: HostReader, table: number): Promise<string[]> {
  const show = ["-j", "route", "show", "table", String(table)];
  const all = [...(await routes(host, 4, show)), ...(await routes(host, 6, show))];
  return all
    .filter((route) => route["protocol"] !== String(ROUTE_PROTOCOL))
    .map((route) => String(route["dst"]));
}

async function routes(host: HostReader, family: 4 | 6, show: readonly string[]) {
  return parseJson((await host.run("ip", [`-${family}`, ...show])) ?? "");
}

async function sysctls(host: HostReader): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const name of SYSCTLS) {
    // Only the last part of a name may hold a dash, and none of these a dot.
    const value = await host.read(`/proc/sys/${name.replaceAll(".", "/")}`);
    if (value !== null) found.set(name, value.trim());
  }
  return found;
}

/** The lexically first file with one of these endings is what the runtime takes (libcni). */
async function networkPlugins(host: HostReader, folder: string): Promise<NodeFacts["cni"]> {
  const names = (await host.list(folder)) ?? [];
  const file = names.filter((name) => /\.(conf|conflist|json)$/.test(name)).sort()[0];
  if (file === undefined) return null;
  const text = await host.read(`${folder}/${file}`);
  if (text === null) return null;
  try {
    const parsed = record(JSON.parse(text));
    const list: unknown[] = Array.isArray(parsed["plugins"]) ? parsed["plugins"] : [parsed];
    return { file, plugins: list.map((one) => String(record(one)["type"] ?? "")).filter(Boolean) };
  } catch {
    return { file, plugins: [] };
  }
}

async function listening(
  host: HostReader,
  ports: readonly number[],
): Promise<Map<number, string> | null> {
  const tables = [await host.read("/proc/net/tcp"), await host.read("/proc/net/tcp6")];
  if (tables.every((text) => text === null)) return null;
  const open = tables.flatMap((text) => parseListeners(text ?? "")).map(({ port }) => port);
  return new Map(ports.filter((port) => open.includes(port)).map((port) => [port, "somebody"]));
}

/** Who decides at `connect()` already; only bpftool tells, and only root. */
async function connectPrograms(host: HostReader): Promise<string[] | null> {
  const text = await host.run("bpftool", ["-j", "cgroup", "tree"]);
  return text === null ? null : parseConnectPrograms(text);
}

/** Names of the programs at connect hooks, out of `bpftool -j cgroup tree`, whose versions name the hooks differently. */
export function parseConnectPrograms(text: string): string[] {
  const programs = parseJson(text).flatMap((group): unknown[] => {
    const list = group["programs"];
    return Array.isArray(list) ? list : [];
  });
  return programs
    .map(record)
    .filter((one) => /^(connect[46]|cgroup_inet[46]_connect)$/.test(String(one["attach_type"])))
    .map((one) => String(one["name"] ?? "without a name"));
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
