import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DEMO_PREFIX } from "./application.ts";
import { ipCommand } from "./ip-command.ts";
import { type ContainerPlan, hostsFile, LINK_PATTERN } from "./network-plan.ts";

/** Where `ip netns exec` looks for files that stand in for those of /etc. */
const NETNS_ETC = "/etc/netns";

/** Has this host IPv6 at all? */
export async function hasIpv6(): Promise<boolean> {
  const file = "/proc/sys/net/ipv6/conf/all/disable_ipv6";
  return existsSync(file) && (await readFile(file, "utf8")).trim() === "0";
}

/** Makes the container's namespace, interfaces and routes. On failure, `removeContainers` cleans up. */
export async function createContainer(plan: ContainerPlan): Promise<void> {
  for (const command of plan.commands) await ipCommand(command);
  for (const [file, value] of plan.sysctls) {
    const path = join("/proc/sys", file);
    if (existsSync(path)) await writeFile(path, value);
  }
  await writeHosts(plan.namespace, []);
}

/**
 * Writes the container's /etc/hosts. The file keeps its inode: programs that run already see the new
 * content, because `ip netns exec` has bind-mounted this very file.
 */
export async function writeHosts(
  namespace: string,
  services: readonly { name: string; addresses: readonly string[] }[],
): Promise<void> {
  await mkdir(join(NETNS_ETC, namespace), { recursive: true });
  await writeFile(join(NETNS_ETC, namespace, "hosts"), hostsFile(services));
}

/**
 * Removes every container of the demo, of this run or of one that was killed: its processes, namespaces,
 * interfaces and files, found by their names. Returns what was removed.
 */
export async function removeContainers(): Promise<string[]> {
  const removed: string[] = [];
  for (const namespace of await demoNamespaces()) {
    for (const pid of (await ipCommand(["netns", "pids", namespace])).split("\n")) {
      if (pid.trim() !== "") killQuietly(Number(pid));
    }
    await ipCommand(["netns", "del", namespace]);
    removed.push(`namespace ${namespace}`);
  }
  removed.push(...(await removeLinks()), ...(await removeFiles()));
  return removed;
}

/** Removes the interfaces that the containers have on the host; most go together with their namespaces. */
export async function removeLinks(): Promise<string[]> {
  const links = await demoLinks();
  for (const link of links) await ipCommand(["link", "del", link]).catch(ignoreVanished);
  return links.map((link) => `interface ${link}`);
}

async function demoNamespaces(): Promise<string[]> {
  const listed = await ipCommand(["netns", "list"]);
  const names = listed.split("\n").map((line) => line.split(" ")[0] ?? "");
  return names.filter((name) => name.startsWith(DEMO_PREFIX));
}

async function demoLinks(): Promise<string[]> {
  const listed = await ipCommand(["-o", "link", "show"]);
  const names = listed.split("\n").map((line) => /^\d+: ([^:@]+)/.exec(line)?.[1] ?? "");
  return names.filter((name) => LINK_PATTERN.test(name));
}

async function removeFiles(): Promise<string[]> {
  if (!existsSync(NETNS_ETC)) return [];
  const names = await readdir(NETNS_ETC);
  const ours = names.filter((name) => name.startsWith(DEMO_PREFIX));
  for (const name of ours) await rm(join(NETNS_ETC, name), { recursive: true, force: true });
  // The folder itself is not there on a fresh machine; it goes when nobody else uses it.
  if (ours.length > 0 && ours.length === names.length) await rmdir(NETNS_ETC);
  return ours.map((name) => `folder ${join(NETNS_ETC, name)}`);
}

/**
 * An interface goes together with its namespace, a moment after it: to find it gone is success. `ip` says so when it
 * looks the name up, the kernel when the interface goes between that and the deletion.
 */
function ignoreVanished(reason: unknown): void {
  if (!/Cannot find device|No such device/.test(String(reason))) throw reason;
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (reason) {
    // Ended by itself in the meantime, which is what was wanted.
    if (!(reason instanceof Error && "code" in reason && reason.code === "ESRCH")) throw reason;
  }
}
