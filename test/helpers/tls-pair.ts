import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { connect as connectTls, TLSSocket } from "node:tls";

const PSK = Buffer.alloc(32, 7);
const OPTIONS = { ciphers: "PSK-AES128-GCM-SHA256", maxVersion: "TLSv1.2" } as const;

/** A connection over TLS whose handshake goes on by itself, its peer, and its plain socket. No certificates: both know a key. */
export interface TlsPair {
  readonly secured: TLSSocket;
  readonly carrier: Socket;
  readonly peer: TLSSocket;
  /** Resolves when the peer's handshake is done. */
  readonly isConnected: Promise<unknown>;
}

export async function tlsPair(): Promise<TlsPair> {
  const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const peer = connectTls({
    ...OPTIONS,
    host: "127.0.0.1",
    port,
    pskCallback: () => ({ psk: PSK, identity: "a" }),
    checkServerIdentity: () => undefined,
  });
  const isConnected = once(peer, "secureConnect");
  const [carrier] = (await once(server, "connection")) as [Socket];
  server.close();
  const ours = { ...OPTIONS, isServer: true, pskCallback: () => PSK };
  return { secured: new TLSSocket(carrier, ours), carrier, peer, isConnected };
}
