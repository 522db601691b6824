import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
} from "node:http2";
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";
import type { ConnectionOptions, TLSSocket } from "node:tls";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { PolicyTarget } from "../../src/core/policy.ts";
import type { DataEndpoint } from "../../src/core/snapshot.ts";
import { SETTINGS_MESH_REQUESTS } from "../../src/http/h2/mesh-wire.ts";
import type { Authority } from "../../src/identity/x509.ts";
import { credentialsOf, issue, newAuthority, rawClient, spiffe } from "./mesh-lab.ts";
import { endpoint, type LabOptions, type PlaneLab, planeLab } from "./plane.ts";

export const WEB = spiffe("web");
export const OTHER = spiffe("other");
/** Who calls. */
export const CALLER = spiffe("caller");

/** What policies say of the workload that is called. */
export const TARGET: PolicyTarget = {
  key: "default/web",
  namespace: "default",
  serviceAccount: "web",
  labels: {},
  services: ["web"],
  identity: WEB,
};

export type Headers = IncomingHttpHeaders & IncomingHttpStatusHeader;

/** What came in answer to a stream. `code`: of the RST_STREAM, or 0. */
export interface StreamEnd {
  readonly headers: Headers;
  readonly status: number;
  readonly body: Buffer;
  readonly code: number;
}

/** A tunnel of HBONE that was asked for, and how that was answered. */
export interface AskedTunnel {
  readonly stream: ClientHttp2Stream;
  readonly headers: Headers;
  readonly status: number;
}

/** Another host, or a ztunnel: Node's own TLS and HTTP/2, with nothing of ours. */
export class MeshClient {
  readonly session: ClientHttp2Session;
  readonly socket: TLSSocket;
  /** Of the GOAWAYs that came. */
  readonly goaways: number[] = [];

  constructor(socket: TLSSocket) {
    this.socket = socket;
    this.session = connect("https://mesh", {
      createConnection: () => socket,
      remoteCustomSettings: [SETTINGS_MESH_REQUESTS],
    });
    this.session.on("error", () => undefined);
    this.session.on("goaway", (code) => this.goaways.push(code));
  }

  /** A stream whose errors are seen by what comes of it. */
  open(headers: OutgoingHttpHeaders, endStream: boolean): ClientHttp2Stream {
    const stream = this.session.request(headers, { endStream });
    stream.on("error", () => undefined);
    return stream;
  }

  /** A request for an endpoint, whole, and its end. */
  async ask(headers: OutgoingHttpHeaders, body?: Buffer | string): Promise<StreamEnd> {
    const stream = this.open(headers, body === undefined);
    if (body !== undefined) stream.end(body);
    return endOf(stream);
  }

  /** HBONE's CONNECT, by the address of the endpoint. */
  async tunnel(authority: string, more: OutgoingHttpHeaders = {}): Promise<AskedTunnel> {
    const stream = this.open({ ":method": "CONNECT", ":authority": authority, ...more }, false);
    const [headers] = (await once(stream, "response")) as [Headers];
    return { stream, headers, status: Number(headers[":status"]) };
  }

  close(): void {
    this.session.destroy();
    this.socket.destroy();
  }
}

/** Everything that comes on a stream until it is over, however that is. */
export function endOf(stream: ClientHttp2Stream): Promise<StreamEnd> {
  return new Promise((resolve) => {
    let headers: Headers = {};
    const parts: Buffer[] = [];
    stream.on("response", (got) => {
      headers = got;
    });
    stream.on("data", (part: Buffer) => parts.push(part));
    stream.on("close", () => {
      const status = Number(headers[":status"] ?? 0);
      resolve({ headers, status, body: Buffer.concat(parts), code: stream.rstCode ?? 0 });
    });
  });
}

/** Fields of a request stream: where it goes, and for whom. */
export function toEndpoint(
  port: number,
  { client = "10.0.0.9", protocol = "http/1.1" } = {},
): OutgoingHttpHeaders {
  return {
    ...{ ":method": "GET", ":scheme": "http", ":authority": "web", ":path": "/" },
    ...{ "x-hostmesh-endpoint": `127.0.0.1:${port}`, "x-hostmesh-client": client },
    ...{ "x-hostmesh-protocol": protocol },
  };
}

export interface MeshHost {
  readonly lab: PlaneLab;
  readonly port: number;
  readonly authority: Authority;
  /** An endpoint of `WEB` on this host. */
  endpoint(port: number, more?: Partial<DataEndpoint>): DataEndpoint;
  /** A connection of this caller; all are closed when the test is over. */
  client(identity?: string, options?: ConnectionOptions): Promise<MeshClient>;
}

/** A data plane with a mesh port, whose host has the identities `WEB` and `OTHER`. */
export async function meshHost(
  t: TestContext,
  config: ConfigInput = {},
  options: LabOptions = {},
): Promise<MeshHost> {
  const authority = newAuthority();
  const lab = await planeLab({ ...options, config: { host: "node-b", ...config } });
  t.after(() => lab.close());
  const { port } = await lab.plane.listen({
    ...{ entry: "mesh", host: "127.0.0.1", port: 0, reusePort: false },
  });
  const held = [issue(authority, WEB), issue(authority, OTHER)];
  lab.plane.setCredentials(credentialsOf([authority], held));
  return {
    lab,
    port,
    authority,
    endpoint: (at, more = {}) => endpoint(at, { identity: WEB, target: TARGET, ...more }),
    client: async (identity = CALLER, options = {}) => {
      const shown = issue(authority, identity);
      const socket = await rawClient(port, shown, WEB, { ALPNProtocols: ["h2"], ...options });
      if (socket instanceof Error) throw socket;
      const client = new MeshClient(socket);
      t.after(() => client.close());
      return client;
    },
  };
}

/** A server of TCP on loopback; all of its connections are closed when the test is over. */
export async function tcpServer(
  t: TestContext,
  serve: (socket: Socket) => void,
): Promise<{ port: number; sockets: Socket[] }> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port, sockets };
}
