import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** One more than any chain that is accepted may have, so that a longer one is refused and not cut. */
const MAX_READ = 6;

/**
 * The certificates that the peer of a TLS connection has shown, the leaf first. Of a resumed session a server has the
 * leaf alone, and a client has nothing.
 */
export function presentedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let next = socket.getPeerX509Certificate();
  while (next !== undefined && chain.length < MAX_READ) {
    chain.push(next);
    next = next.issuerCertificate;
  }
  return chain;
}
