import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp1, type IncomingHttpHeaders, request } from "node:http";
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2,
  type ServerHttp2Session,
} from "node:http2";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/** RFC 6455 section 4.2.2. */
export function acceptFor(key: string): string {
  return createHash("sha1").update(`${key}${GUID}`).digest("base64");
}

/** What of a handshake of WebSocket is the same in both versions. */
const SHARED = ["sec-websocket-version", "sec-websocket-protocol", "sec-websocket-extensions"];

function sharedOf(headers: IncomingHttpHeaders): Record<string, string> {
  const shared: Record<string, string> = {};
  for (const name of SHARED) {
    const value = headers[name];
    if (value !== undefined) shared[name] = String(value);
  }
  return shared;
}

/** A tunnel as an endpoint sees it. */
export interface ServerTunnel {
  readonly headers: IncomingHttpHeaders;
  /** Grants it; the bytes. */
  accept(more?: Record<string, string>): Duplex;
}

export interface TunnelServer {
  readonly port: number;
  readonly sessions: Set<ServerHttp2Session>;
  close(): void;
}

/** An endpoint of this version of HTTP that is asked for WebSockets. */
export async function tunnelServer(
  version: 1 | 2,
  onTunnel: (tunnel: ServerTunnel) => void,
): Promise<TunnelServer> {
  const sessions = new Set<ServerHttp2Session>();
  const server: Server =
    version === 1 ? upgradingServer(onTunnel) : connectingServer(onTunnel, sessions);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => sockets.delete(socket));
  });
  const port = await listening(server);
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port, sessions, close };
}

function upgradingServer(onTunnel: (tunnel: ServerTunnel) => void): Server {
  const server = createHttp1((_request, response) => response.end("plain"));
  server.on("upgrade", ({ headers }, socket, head) => {
    socket.on("error", () => undefined);
    const accept = (more: Record<string, string> = {}): Duplex => {
      const key = String(headers["sec-websocket-key"]);
      const fields = {
        ...{ connection: "Upgrade", upgrade: "websocket" },
        "sec-websocket-accept": acceptFor(key),
        ...more,
      };
      const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join("")}\r\n`);
      if (head.length > 0) socket.unshift(head);
      return socket;
    };
    onTunnel({ headers, accept });
  });
  return server;
}

function connectingServer(
  onTunnel: (tunnel: ServerTunnel) => void,
  sessions: Set<ServerHttp2Session>,
): Server {
  const server = createHttp2({ settings: { enableConnectProtocol: true } });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => undefined);
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    if (headers[":protocol"] !== "websocket") {
      stream.respond({ ":status": 200 });
      stream.end("plain");
      return;
    }
    const accept = (more: Record<string, string> = {}): Duplex => {
      stream.respond({ ":status": 200, ...more });
      return stream;
    };
    onTunnel({ headers, accept });
  });
  return server;
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** A tunnel as a client sees it, or why there is none. */
export interface ClientTunnel {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** Null where the status grants none. */
  readonly duplex: Duplex | null;
  close(): void;
}

export interface TunnelOptions {
  readonly path?: string;
  readonly authority?: string;
  readonly headers?: Record<string, string>;
}

/** Asks at a port for a WebSocket, in this version of HTTP. */
export async function openTunnel(
  version: 1 | 2,
  port: number,
  { path = "/", authority = "web", headers = {} }: TunnelOptions = {},
): Promise<ClientTunnel> {
  const fields = { "sec-websocket-version": "13", ...headers };
  return version === 1
    ? await upgrade(port, path, { host: authority, ...fields })
    : await extendedConnect(port, { ":path": path, ":authority": authority, ...fields });
}

async function upgrade(
  port: number,
  path: string,
  headers: Record<string, string>,
): Promise<ClientTunnel> {
  const handshake = {
    ...{ connection: "Upgrade", upgrade: "websocket" },
    "sec-websocket-key": randomBytes(16).toString("base64"),
  };
  const asked = request({
    ...{ host: "127.0.0.1", port, path, agent: false },
    headers: { ...headers, ...handshake },
  });
  asked.end();
  const { promise, resolve, reject } = Promise.withResolvers<ClientTunnel>();
  const close = () => asked.destroy();
  asked.on("error", reject);
  asked.on("response", ({ statusCode = 0, headers: fields }) =>
    resolve({ status: statusCode, headers: fields, duplex: null, close }),
  );
  asked.on("upgrade", ({ statusCode = 0, headers: fields }, socket, head) => {
    socket.on("error", () => undefined);
    socket.setNoDelay(true);
    if (head.length > 0) socket.unshift(head);
    resolve({ status: statusCode, headers: fields, duplex: socket, close: () => socket.destroy() });
  });
  return await promise;
}

async function extendedConnect(
  port: number,
  headers: Record<string, string>,
): Promise<ClientTunnel> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  await once(session, "remoteSettings");
  const asked = { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http" };
  const stream = session.request({ ...asked, ...headers }, { endStream: false });
  stream.on("error", () => undefined);
  const [fields] = (await once(stream, "response")) as [IncomingHttpHeaders];
  const status = Number((fields as Record<string, unknown>)[":status"]);
  const duplex = status >= 200 && status < 300 ? stream : null;
  return { status, headers: fields, duplex, close: () => session.destroy() };
}

/** An endpoint of this version of HTTP before a server of `ws`. */
export async function webSocketServer(
  version: 1 | 2,
  options: ConstructorParameters<typeof WebSocketServer>[0] = {},
): Promise<{ port: number; server: WebSocketServer; close(): void }> {
  const server = new WebSocketServer({ ...options, host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const end = (): void => {
    for (const client of server.clients) client.terminate();
    server.close();
  };
  if (version === 1) return { port, server, close: end };
  const front = await tunnelServer(2, (tunnel) => {
    void bridgeToServer(tunnel, port);
  });
  const close = (): void => {
    front.close();
    end();
  };
  return { port: front.port, server, close };
}

async function bridgeToServer({ headers, accept }: ServerTunnel, port: number): Promise<void> {
  const { duplex, headers: fields } = await upgrade(port, String(headers[":path"]), {
    host: String(headers[":authority"]),
    ...sharedOf(headers),
  });
  if (duplex !== null) join(duplex, accept(sharedOf(fields)));
}

/** A port where a client of `ws` speaks HTTP/1.1, and goes on to `port` as one of HTTP/2, all of them on one connection. */
export async function webSocketClients(
  port: number,
): Promise<{ port: number; session: ClientHttp2Session; close(): void }> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  await once(session, "remoteSettings");
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    void bridgeToProxy(socket, session);
  });
  const own = await listening(server);
  const close = (): void => {
    session.destroy();
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { port: own, session, close };
}

async function bridgeToProxy(socket: Socket, session: ClientHttp2Session): Promise<void> {
  // A client of WebSocket sends nothing behind its head before it is answered.
  const [chunk] = (await once(socket, "data")) as [Buffer];
  socket.pause();
  const [start = "", ...lines] = chunk.toString("latin1").split("\r\n");
  const headers: IncomingHttpHeaders = {};
  for (const line of lines.filter((one) => one !== "")) {
    const colon = line.indexOf(":");
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const stream = session.request(
    {
      ...{ ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http" },
      ...{ ":path": start.split(" ")[1], ":authority": "web" },
      ...sharedOf(headers),
    },
    { endStream: false },
  );
  stream.on("error", () => socket.destroy());
  const [fields] = (await once(stream, "response")) as [IncomingHttpHeaders];
  const answer = {
    ...{ connection: "Upgrade", upgrade: "websocket" },
    "sec-websocket-accept": acceptFor(String(headers["sec-websocket-key"])),
    ...sharedOf(fields),
  };
  const text = Object.entries(answer).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 101 Switching Protocols\r\n${text.join("")}\r\n`);
  join(socket, stream);
}

/** Passes the bytes of each on to the other. */
function join(one: Duplex, other: Duplex): void {
  one.pipe(other);
  other.pipe(one);
  one.on("close", () => other.destroy());
  other.on("close", () => one.destroy());
}

/** A connection that a test reads by itself. */
export async function plainSocket(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", noDelay: true, allowHalfOpen: true });
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}
