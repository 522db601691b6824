import { readFile } from "node:fs/promises";
import { cpus, loadavg, release, totalmem } from "node:os";
import type { MachineFacts } from "./result.ts";

/** What the kernel tells of this machine. Call it before any load: the load average is that of the minute before. */
export async function machineFacts(): Promise<MachineFacts> {
  const cpuinfo = await readOr("/proc/cpuinfo");
  const vendor = await readOr("/sys/class/dmi/id/sys_vendor");
  const product = await readOr("/sys/class/dmi/id/product_name");
  return {
    cpus: cpus().length,
    cpuModel: cpus()[0]?.model.trim() || "unknown",
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    loadAverage: loadavg()[0] ?? 0,
    virtualised: virtualisation(cpuinfo, `${vendor.trim()} ${product.trim()}`.trim()),
  };
}

/**
 * What a virtual machine calls itself, `yes` where it does not, null where nothing tells of one. Hypervisors set the CPU
 * flag `hypervisor` (x86); elsewhere the names that they put into DMI tell.
 */
export function virtualisation(cpuinfo: string, product: string): string | null {
  const known =
    /kvm|qemu|vmware|virtualbox|xen|hyper-v|virtual machine|firecracker|bochs|amazon ec2|google/i;
  const hasFlag = /^flags\s*:.*\bhypervisor\b/m.test(cpuinfo);
  if (!hasFlag && !known.test(product)) return null;
  return product === "" ? "yes" : product;
}

/** Containers and some machines hide these files. */
async function readOr(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
