import { isIPv6 } from "node:net";
import { hostAddresses } from "./interfaces.ts";
import type { Runner } from "./runner.ts";

/**
 * Own addresses that are named to `ss` at most: its filter is a program for the kernel of 64 KiB. What is left out
 * may lose a TIME_WAIT of its own a little early.
 */
const MAX_OWN_ADDRESSES = 1_000;

/**
 * Makes the kernel forget captured connections that have ended.
 *
 * A socket that TPROXY made has the address of the destination. It stays for 60 s in TIME_WAIT, and as long the
 * kernel finds it for every packet with the same addresses and ports (`tcp_v4_early_demux`). While there are
 * rules, that is right. Without them the packet is to be forwarded, and `ip_forward` drops what belongs to a
 * socket, without a word: a client that takes the same source port again would wait for nothing.
 *
 * Told by a source that is no address of this host, which only transparent sockets have. Linux before 6.0 ends no
 * socket in TIME_WAIT (SOCK_DESTROY): there they stay to their end.
 * @throws CommandError where `ss` is missing or may not.
 */
export async function forgetEnded(runner: Runner): Promise<void> {
  const own = ["127.0.0.0/8", ...(await hostAddresses(runner)).slice(0, MAX_OWN_ADDRESSES)];
  const foreign = own.flatMap((address, at) => {
    const source = ["not", "src", isIPv6(address) ? `[${address}]` : address];
    return at === 0 ? source : ["and", ...source];
  });
  await runner.run("ss", ["-K", "-H", "-t", "-n", "state", "time-wait", ...foreign]);
}
