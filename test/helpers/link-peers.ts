import { once } from "node:events";
import {
  createSecureServer,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import { type AddressInfo, connect, type Socket } from "node:net";
import { createServer, type TLSSocket, type TlsOptions } from "node:tls";
import type { Credential } from "../../src/core/identity.ts";
import { MESH_ALPN, MESH_GRANT, writeMeshRefusal } from "../../src/http/h1/mesh-connect.ts";
import { SETTINGS_MESH_REQUESTS } from "../../src/http/h2/mesh-wire.ts";

/** Another host, made of Node's own TLS and HTTP/2. */
export interface LinkPeer {
  readonly address: { readonly host: string; readonly port: number };
  /** Connections that are open, in the order in which they were opened. */
  readonly sockets: Set<Socket>;
  readonly sessions: ServerHttp2Session[];
  /** SPIFFE IDs that those who connected have shown, one for each connection that ever was. */
  readonly callers: string[];
  close(): void;
}

export type OnStream = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders & IncomingHttpStatusHeader,
) => void;

/** `port`: where another one was; absent: any. */
export interface LinkPeerOptions {
  readonly requests?: boolean;
  readonly settings?: Settings;
  readonly port?: number;
}

/** A host that takes requests as streams, or (`requests: false`) tunnels only, like a ztunnel. */
export async function linkPeer(
  credential: Credential,
  onStream: OnStream,
  options: LinkPeerOptions = {},
): Promise<LinkPeer> {
  const isNew = options.requests !== false;
  const customSettings = isNew ? { [SETTINGS_MESH_REQUESTS]: 1 } : {};
  const server = createSecureServer({
    ...tlsOptions(credential, ["h2", MESH_ALPN]),
    settings: { enableConnectProtocol: isNew, customSettings, ...options.settings },
  });
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => {
    sessions.push(session);
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    onStream(stream, headers);
  });
  return started(server, sessions, options.port);
}

/** A host of an older version: a CONNECT on each connection. The oldest does not know `h2` in it. */
export async function olderPeer(
  credential: Credential,
  { isOldest = false, protocols = [] as string[] } = {},
): Promise<LinkPeer> {
  const options = { ...tlsOptions(credential, [MESH_ALPN]), allowHalfOpen: true };
  const server = createServer(options, (secured) => {
    secured.on("error", () => secured.destroy());
    let head = "";
    secured.once("end", () => head === "" && secured.destroy());
    const onData = (chunk: Buffer): void => {
      head += chunk.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      secured.off("data", onData);
      const protocol = /x-hostmesh-protocol: (.*)\r\n/.exec(head)?.[1] ?? "";
      protocols.push(protocol);
      if (isOldest && protocol === "h2") {
        secured.end(writeMeshRefusal(400, "x-hostmesh-protocol is none of http/1.1, tcp"));
        return;
      }
      const [, host, port] = /^CONNECT (.*):(\d+) /.exec(head) ?? [];
      const endpoint = connect({ host: host as string, port: Number(port), allowHalfOpen: true });
      endpoint.on("error", () => secured.destroy());
      secured.on("close", () => endpoint.destroy());
      endpoint.once("connect", () => {
        secured.write(MESH_GRANT);
        secured.pipe(endpoint).pipe(secured);
      });
    };
    secured.on("data", onData);
  });
  return started(server, []);
}

function tlsOptions(credential: Credential, protocols: string[]): TlsOptions {
  return {
    ...{ cert: credential.chain, key: credential.privateKey, ALPNProtocols: protocols },
    ...{ requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.3" },
    // So that tests see what the caller prefers.
    honorCipherOrder: false,
  };
}

async function started(
  server: ReturnType<typeof createServer>,
  sessions: ServerHttp2Session[],
  at = 0,
): Promise<LinkPeer> {
  const sockets = new Set<Socket>();
  const callers: string[] = [];
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  server.on("secureConnection", (secured: TLSSocket) => {
    const names = secured.getPeerX509Certificate()?.subjectAltName ?? "";
    callers.push(names.replace("URI:", ""));
  });
  server.on("tlsClientError", () => undefined);
  server.listen(at, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { address: { host: "127.0.0.1", port }, sockets, sessions, callers, close };
}
