/**
 * The connection by which `hostmesh iptables check` proves that capture works. A throw-away workload connects
 * to an address that exists nowhere, and whoever answers can only be the data path: it recognises the
 * destination (`isProbe`), sends `PROBE_REPLY` and closes, whoever the source is. Addresses are from the
 * ranges for benchmarks (RFC 2544, RFC 5180), which are not routed.
 */
export const PROBE_PORT = 1;
export const PROBE_REPLY = "hostmesh-probe\n";
export const PROBE_DESTINATION = {
  4: "198.19.255.254",
  6: "2001:2:0:ffff:ffff:ffff:ffff:fffe",
} as const;

/** Is this original destination (canonical spelling) that of the probe? */
export function isProbe(host: string, port: number): boolean {
  return port === PROBE_PORT && (host === PROBE_DESTINATION[4] || host === PROBE_DESTINATION[6]);
}
