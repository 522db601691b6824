import { createRequire } from "node:module";

/** The shortest that the kernel takes. */
const SLICE_NANOS = 100_000n;

/** By `process.arch`: sched_setattr(2) and sched_getattr(2) (asm/unistd_64.h, asm-generic/unistd.h). */
const CALLS: Readonly<Partial<Record<string, { readonly set: number; readonly get: number }>>> = {
  x64: { set: 314, get: 315 },
  arm64: { set: 274, get: 275 },
};

/** `struct sched_attr` in its first version (linux/sched/types.h): where the policy and `sched_runtime` are. */
const ATTR = { bytes: 48, size: 0, policy: 4, runtime: 24 };
const SCHED_OTHER = 0;

/**
 * Asks the kernel for short time slices of the calling thread (and of those that it starts from then on): when it wakes
 * up it takes the CPU at once from a thread with the usual ones, which would otherwise keep it to the end of its slice or
 * the next tick, up to 4 ms. Its share of the CPU stays as it is, and no privilege is needed. Lower priorities of
 * the other threads do not help: a slice is as long for them.
 *
 * Linux 6.12 and later (EEVDF: `sched_runtime` of SCHED_OTHER, PREEMPT_SHORT in kernel/sched/features.h). Returns whether
 * it is so now: false on other systems, where it is forbidden, and under another scheduling policy, which is kept.
 */
export function shortenTimeSlice(): boolean {
  const call = CALLS[process.arch];
  if (process.platform !== "linux" || call === undefined) return false;
  const syscall = loadSyscall();
  if (syscall === null) return false;
  const attr = Buffer.alloc(ATTR.bytes);
  const read = () =>
    syscall(call.get, "int", 0, "void *", attr, "uint", ATTR.bytes, "uint", 0) === 0;
  // What was read is written back with one change, so that a niceness set from outside stays.
  if (!read() || attr.readUInt32LE(ATTR.policy) !== SCHED_OTHER) return false;
  attr.writeUInt32LE(ATTR.bytes, ATTR.size);
  attr.writeBigUInt64LE(SLICE_NANOS, ATTR.runtime);
  if (syscall(call.set, "int", 0, "void *", attr, "uint", 0) !== 0) return false;
  // Older kernels take the value and forget it.
  return read() && attr.readBigUInt64LE(ATTR.runtime) === SLICE_NANOS;
}

/** syscall(2), which every C library has, through FFI; null where koffi is missing. */
function loadSyscall(): ((number: number, ...typed: unknown[]) => number) | null {
  try {
    const koffi: typeof import("koffi") = createRequire(import.meta.url)("koffi");
    return koffi.load(null).func("long syscall(long number, ...)");
  } catch {
    return null;
  }
}
