import { createHash } from "node:crypto";
import { isIPv4, isIPv6 } from "node:net";
import { canonicalAddress } from "../core/address.ts";

/** Addresses tried before a range counts as exhausted; more than any IPv4 range of sensible size has. */
const MAX_PROBES = 1 << 20;

/**
 * Hands out addresses of one CIDR. The search starts where the hash of the service's key points, so that
 * a service that comes back after its last endpoint left most likely gets the address that clients may
 * still remember. What was handed out stands in the service's record, which makes it survive restarts.
 */
export class VirtualRange {
  readonly #base: bigint;
  readonly #size: bigint;
  readonly #bits: 32 | 128;

  /** Throws where `cidr` is not `address/prefix` or leaves no address to hand out. */
  constructor(cidr: string) {
    const [address = "", prefix = "", ...rest] = cidr.split("/");
    this.#bits = isIPv4(address) ? 32 : 128;
    const valid = rest.length === 0 && (isIPv4(address) || isIPv6(address));
    if (!valid || !/^\d{1,3}$/.test(prefix) || Number(prefix) > this.#bits - 2) {
      throw new Error(`${JSON.stringify(cidr)} is no range of virtual addresses (ADDRESS/PREFIX)`);
    }
    this.#size = 1n << BigInt(this.#bits - Number(prefix));
    this.#base = (toNumber(address) / this.#size) * this.#size;
  }

  /** The first free address after the hash of `key`; null when none is free. */
  allot(key: string, isTaken: (address: string) => boolean): string | null {
    // Neither the first address (the network) nor the last (IPv4 broadcast) is handed out.
    const usable = this.#size - 2n;
    const start = BigInt(`0x${createHash("sha256").update(key).digest("hex")}`) % usable;
    const probes = usable < BigInt(MAX_PROBES) ? Number(usable) : MAX_PROBES;
    for (let probe = 0; probe < probes; probe++) {
      const offset = ((start + BigInt(probe)) % usable) + 1n;
      const address = toAddress(this.#base + offset, this.#bits);
      if (!isTaken(address)) return address;
    }
    return null;
  }
}

function toNumber(address: string): bigint {
  if (isIPv4(address)) {
    return address.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  }
  const [head = "", tail] = canonicalAddress(address).split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...zeros, ...right].reduce(
    (sum, part) => (sum << 16n) | BigInt(`0x${part}`),
    0n,
  );
}

function toAddress(value: bigint, bits: 32 | 128): string {
  if (bits === 32) {
    return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    ((value >> BigInt(112 - 16 * index)) & 0xffffn).toString(16),
  );
  return canonicalAddress(groups.join(":"));
}
