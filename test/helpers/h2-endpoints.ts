import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type Settings,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { CLIENT_PREFACE, FLAG_ACK, FRAME_SETTINGS } from "../../src/http/h2/codes.ts";
import { frame } from "./h2-frames.ts";
import { FramePeer, settings } from "./h2-lab.ts";
import { until } from "./until.ts";

const opened: { close(): void }[] = [];

/** For `afterEach`. */
export function closeEndpoints(): void {
  for (const one of opened.splice(0)) one.close();
}

export type OnStream = (stream: ServerHttp2Stream, fields: IncomingHttpHeaders) => unknown;

export interface Http2Endpoint {
  readonly port: number;
  readonly sessions: ServerHttp2Session[];
}

/** A server of HTTP/2 that is not ours. */
export async function http2Endpoint(
  onStream: OnStream,
  ours: Settings = {},
): Promise<Http2Endpoint> {
  const server = createServer({ settings: ours });
  const sessions: ServerHttp2Session[] = [];
  server.on("stream", (stream, fields) => {
    stream.on("error", () => undefined);
    onStream(stream, fields);
  });
  server.on("session", (session) => sessions.push(session));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.close();
    for (const session of sessions) session.destroy();
  };
  opened.push({ close });
  return { port: (server.address() as AddressInfo).port, sessions };
}

const SETTINGS_ACK = frame(FRAME_SETTINGS, FLAG_ACK, 0);

export interface FrameEndpoint {
  readonly port: number;
  /** Connections in the order in which they came. */
  readonly peers: FramePeer[];
  /** The connection of this number, once it is there. */
  peer(index?: number): Promise<FramePeer>;
}

/** A server whose answers a test sends frame by frame; `greeting`: what it sends first, empty: not even SETTINGS. */
export async function frameEndpoint(
  greeting: readonly Buffer[] = [settings()],
): Promise<FrameEndpoint> {
  const peers: FramePeer[] = [];
  const server = createTcpServer({ noDelay: true }, (socket) => void welcome(socket, peers));
  const welcome = async (socket: Socket, list: FramePeer[]) => {
    socket.on("error", () => undefined);
    await once(socket, "readable");
    // The client's preface is no frame.
    socket.read(CLIENT_PREFACE.length);
    const peer = new FramePeer(socket);
    socket.resume();
    if (greeting.length > 0) peer.send(...greeting, SETTINGS_ACK);
    list.push(peer);
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  opened.push({ close: () => void server.close() });
  const peer = async (index = 0) => {
    await until(() => peers.length > index, { what: `connection ${index}` });
    return peers[index] as FramePeer;
  };
  return { port: (server.address() as AddressInfo).port, peers, peer };
}
