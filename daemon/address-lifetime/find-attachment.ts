import { parseJson } from "../../iptables/live.ts";
import { CommandError, type Runner } from "../../iptables/runner.ts";

/** How a container is joined to this host. */
export interface Attachment {
  /** Of the host's end, which lives as long as the container: numbers of interfaces are not used twice until a reboot. */
  readonly index: number;
  readonly device: string;
  /** The device that routes lead to: `device` itself, or the bridge that it is a port of. */
  readonly via: string;
  /** What the container answers with on a bridge; null: there is none. */
  readonly mac: string | null;
}

/** `elsewhere`: the address is not behind a link of its own on this host; `unknown`: not now. */
export type Found = Attachment | "elsewhere" | "unknown";

/**
 * Looks up how an address is reached: by a link of its own (Calico, AWS, ptp) or through a port of a bridge, which the
 * bridge knows once the container has sent anything.
 */
export async function findAttachment(runner: Runner, address: string): Promise<Found> {
  const [route] = await list(runner, "ip", ["-j", "route", "get", address]);
  const via = route?.["dev"];
  if (route === undefined || typeof via !== "string") return "unknown";
  if (route["gateway"] !== undefined || route["via"] !== undefined || via === "lo") {
    return "elsewhere";
  }
  const link = await linkOf(runner, via);
  if (!isBridge(link)) return joined(link, via, via, null);
  const mac = await macOf(runner, address, via);
  const device = mac === null ? null : await portOf(runner, via, mac);
  return device === null ? "unknown" : joined(await linkOf(runner, device), device, via, mac);
}

type Fields = Readonly<Record<string, unknown>>;

function joined(link: Fields | undefined, device: string, via: string, mac: string | null): Found {
  const index = link?.["ifindex"];
  return typeof index === "number" ? { index, device, via, mac } : "unknown";
}

async function linkOf(runner: Runner, device: string): Promise<Fields | undefined> {
  return (await list(runner, "ip", ["-j", "-d", "link", "show", "dev", device]))[0];
}

/** Numbers of all links that exist. */
export async function presentLinks(runner: Runner): Promise<Set<number>> {
  const links = await list(runner, "ip", ["-j", "link", "show"]);
  return new Set(links.map(({ ifindex }) => Number(ifindex)));
}

function isBridge(link: Fields | undefined): boolean {
  const info = link?.["linkinfo"];
  return (
    typeof info === "object" && info !== null && "info_kind" in info && info.info_kind === "bridge"
  );
}

async function macOf(runner: Runner, address: string, bridge: string): Promise<string | null> {
  const family = address.includes(":") ? "-6" : "-4";
  const args = [family, "-j", "neigh", "show", address, "dev", bridge];
  const mac = (await list(runner, "ip", args))[0]?.["lladdr"];
  return typeof mac === "string" ? mac : null;
}

async function portOf(runner: Runner, bridge: string, mac: string): Promise<string | null> {
  const entries = await list(runner, "bridge", ["-j", "fdb", "show", "br", bridge]);
  const learned = entries.find((entry) => entry["mac"] === mac && entry["master"] === bridge);
  return typeof learned?.["ifname"] === "string" ? learned["ifname"] : null;
}

/** Nothing where the command refuses: there is no such route, or no such device any more. */
async function list(
  runner: Runner,
  command: string,
  args: readonly string[],
): Promise<readonly Fields[]> {
  try {
    return parseJson(await runner.run(command, args));
  } catch (error) {
    if (error instanceof CommandError && !error.missing) return [];
    throw error;
  }
}
