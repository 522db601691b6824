import { execFile, execFileSync, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { promisify } from "node:util";
import { BenchError } from "./bench-error.ts";

/** Two network namespaces on one machine, joined by a veth pair. */
export interface NamespacePair {
  readonly a: NamespaceEnd;
  readonly b: NamespaceEnd;
  /** Kills every process inside and removes both. May be called again. */
  close(): Promise<void>;
}

export interface NamespaceEnd {
  /** As `ip netns` knows it. */
  readonly name: string;
  /** Of its end of the veth pair. */
  readonly address: string;
}

const PREFIX = "hmbench-";
/** The namespaces are closed to the outside, so that these can collide with nothing. */
const ADDRESSES = { a: "10.254.77.1", b: "10.254.77.2" };
const DEVICE = "mesh0";
const TIMEOUT_MS = 10_000;

/**
 * Makes two namespaces, and removes what earlier runs that were killed left behind. They go when this process ends,
 * whatever happens. Throws a BenchError where that is not allowed. `ip` is the path of iproute2's program.
 */
export async function openNamespacePair(ip: string, signal: AbortSignal): Promise<NamespacePair> {
  signal.throwIfAborted();
  await sweep(ip);
  const name = `${PREFIX}${process.pid}-${randomBytes(3).toString("hex")}`;
  const pair = { a: `${name}-a`, b: `${name}-b` };
  const remove = () => {
    for (const one of [pair.b, pair.a]) removeNamespace(ip, one);
  };
  process.once("exit", remove);
  const close = async () => {
    process.off("exit", remove);
    remove();
  };
  try {
    for (const one of [pair.a, pair.b]) await run(ip, ["netns", "add", one]);
    const peer = ["peer", "name", DEVICE, "netns", pair.b];
    await run(ip, ["-n", pair.a, "link", "add", DEVICE, "type", "veth", ...peer]);
    for (const end of ["a", "b"] as const) {
      const inside = (...args: string[]) => run(ip, ["-n", pair[end], ...args]);
      await inside("addr", "add", `${ADDRESSES[end]}/30`, "dev", DEVICE);
      await inside("link", "set", "lo", "up");
      await inside("link", "set", DEVICE, "up");
    }
    signal.throwIfAborted();
  } catch (error) {
    await close();
    throw error;
  }
  return {
    a: { name: pair.a, address: ADDRESSES.a },
    b: { name: pair.b, address: ADDRESSES.b },
    close,
  };
}

/** Namespaces of benches that are gone: SIGKILL leaves them behind. */
async function sweep(ip: string): Promise<void> {
  const list = await run(ip, ["netns", "list"]);
  for (const line of list.split("\n")) {
    const [name = ""] = line.split(" ");
    const pid = /^hmbench-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNamespace(ip, name);
  }
}

async function run(ip: string, args: readonly string[]): Promise<string> {
  try {
    return (await promisify(execFile)(ip, [...args], { timeout: TIMEOUT_MS })).stdout;
  } catch (cause) {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : "";
    throw new BenchError(
      `network namespaces cannot be made here (ip ${args.join(" ")}: ${said}); measure with --topology same-host`,
      { cause },
    );
  }
}

/** Synchronous, because it also runs when the process exits. Does nothing where the namespace is gone. */
function removeNamespace(ip: string, name: string): void {
  for (const pid of processesIn(ip, name)) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself meanwhile.
    }
  }
  spawnSync(ip, ["netns", "del", name], { stdio: "ignore", timeout: TIMEOUT_MS });
}

function processesIn(ip: string, name: string): number[] {
  try {
    const stdio: ["ignore", "pipe", "ignore"] = ["ignore", "pipe", "ignore"];
    const options = { encoding: "utf8", stdio, timeout: TIMEOUT_MS } as const;
    const list = execFileSync(ip, ["netns", "pids", name], options);
    return list
      .split("\n")
      .filter((line) => line !== "")
      .map(Number);
  } catch {
    // There is no such namespace (any more).
    return [];
  }
}
