import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { FakeClock } from "../../src/core/clock.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { MeshError } from "../../src/core/errors.ts";
import type { Credential, Credentials } from "../../src/core/identity.ts";
import type { Carrier } from "../../src/http/carrier.ts";
import type { Conn } from "../../src/http/conn.ts";
import { MESH_ALPN, writeMeshConnect } from "../../src/http/h1/mesh-connect.ts";
import type { VerifiedPeer } from "../../src/identity/peer-verifier.ts";
import { sniOf } from "../../src/identity/sni.ts";
import { TlsContexts } from "../../src/identity/tls-contexts.ts";
import {
  type Authority,
  createAuthority,
  generateKeys,
  issueLeaf,
  type LeafRequest,
  privateKeyPem,
} from "../../src/identity/x509.ts";
import { acceptMesh } from "../../src/proxy/downstream/mesh-accept.ts";
import type {
  AcceptedLink,
  MeshRefusal,
  MeshRequest,
} from "../../src/proxy/downstream/mesh-request.ts";
import type { Dial, DialHandler } from "../../src/proxy/upstream/transport/dial.ts";
import { dialMesh, type MeshTarget } from "../../src/proxy/upstream/transport/mesh-dial.ts";

const TRUST_DOMAIN = "cluster.local";
export const HOUR_MS = 3_600_000;

export function spiffe(account: string, trustDomain = TRUST_DOMAIN): string {
  return `spiffe://${trustDomain}/ns/default/sa/${account}`;
}

export function validity(fromMs: number, toMs: number): { notBefore: Date; notAfter: Date } {
  const now = Date.now();
  return { notBefore: new Date(now + fromMs), notAfter: new Date(now + toMs) };
}

export function newAuthority(commonName = "mesh root"): Authority {
  return createAuthority({ commonName, ...validity(-HOUR_MS, 24 * HOUR_MS) });
}

/** A credential for `identity`; `request` says what is wrong with its certificate. */
export function issue(
  authority: Authority,
  identity: string,
  request: Partial<LeafRequest> = {},
): Credential {
  const { privateKey, publicKey } = generateKeys();
  const names = { uris: [identity] };
  const chain = issueLeaf(authority, {
    ...{ publicKey, names, ...validity(-HOUR_MS, HOUR_MS) },
    ...request,
  });
  const notAfterMs = (request.notAfter ?? new Date(Date.now() + HOUR_MS)).getTime();
  return { identity, chain, privateKey: privateKeyPem(privateKey), notAfterMs };
}

export function credentialsOf(
  authorities: readonly Authority[],
  held: readonly Credential[],
  ticketByte = 1,
): Credentials {
  return {
    trustDomain: TRUST_DOMAIN,
    anchors: authorities.map(({ certificate }) => certificate),
    ticketKeys: new Uint8Array(48).fill(ticketByte),
    held,
  };
}

/** Contexts whose time of day the test moves. */
export function newContexts(credentials: Credentials | null): {
  contexts: TlsContexts;
  wall: FakeClock;
} {
  const wall = new FakeClock(Date.now());
  const contexts = new TlsContexts({ clock: wall });
  contexts.apply(credentials);
  return { contexts, wall };
}

/** The mesh port of a host: remembers what was asked of it, and grants what the test does not refuse. */
export class MeshPort {
  readonly contexts: TlsContexts;
  readonly wall: FakeClock;
  readonly clock = new FakeClock();
  readonly deadlines = new Deadlines(this.clock);
  readonly requests: MeshRequest[] = [];
  readonly gone: MeshRequest[] = [];
  readonly links: AcceptedLink[] = [];
  readonly refusals: { refusal: MeshRefusal; detail: string }[] = [];
  handshakes = 0;
  maxHandshakes = 100;
  calledIdentity = "";
  handshakeMs = 10_000;
  onMesh: (request: MeshRequest) => void = (request) => void echo(request.grant());
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(credentials: Credentials | null) {
    const { contexts, wall } = newContexts(credentials);
    this.contexts = contexts;
    this.wall = wall;
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true });
    this.#server.on("connection", (socket) => this.#accept(socket));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    const { contexts, clock, deadlines, handshakeMs } = this;
    const handshakes = {
      begin: () => this.handshakes < this.maxHandshakes && ++this.handshakes > 0,
      end: () => {
        this.handshakes -= 1;
      },
    };
    acceptMesh(
      socket,
      { contexts, clock, deadlines, handshakeMs, handshakes, calledIdentity: this.calledIdentity },
      {
        onMesh: (request) => {
          this.requests.push(request);
          this.onMesh(request);
        },
        onMeshGone: (request) => this.gone.push(request),
        onMeshLink: (link) => {
          this.links.push(link);
          echo(link.conn);
        },
        onMeshRefused: (refusal, detail) => this.refusals.push({ refusal, detail }),
      },
    );
  }

  /** Sockets that are still open. */
  get open(): number {
    return this.#sockets.size;
  }

  get address(): { host: string; port: number } {
    return { host: "127.0.0.1", port: (this.#server.address() as AddressInfo).port };
  }

  async start(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return this;
  }

  close(): void {
    this.deadlines.close();
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

/** Sends back what comes, and ends when the other side has. */
function echo(conn: Carrier): Carrier {
  conn.handler = {
    onBytes: (chunk, end) => conn.relay(chunk, 0, end, conn),
    onFin: () => conn.end(),
    onDrain: () => {},
    onClose: () => {},
  };
  return conn;
}

/** A host that dials. */
export class MeshCaller {
  readonly contexts: TlsContexts;
  readonly wall: FakeClock;
  readonly clock = new FakeClock();
  readonly deadlines = new Deadlines(this.clock);
  readonly conns: Conn[] = [];
  connectMs = 5_000;
  handshakeMs = 10_000;

  constructor(credentials: Credentials | null) {
    const { contexts, wall } = newContexts(credentials);
    this.contexts = contexts;
    this.wall = wall;
  }

  start(target: MeshTarget, handler: DialHandler): Dial {
    const { clock, deadlines, connectMs, handshakeMs, contexts } = this;
    return dialMesh(target, handler, { clock, deadlines, connectMs, handshakeMs, contexts });
  }

  dial(target: MeshTarget): Promise<{ conn: Conn; peer: VerifiedPeer | undefined } | MeshError> {
    return new Promise((resolve) => {
      this.start(target, {
        onConnected: (conn, peer) => {
          this.conns.push(conn);
          resolve({ conn, peer });
        },
        onDialFailed: resolve,
      });
    });
  }

  close(): void {
    this.deadlines.close();
    for (const conn of this.conns) conn.destroy();
  }
}

/** Any TLS client, to do what ours would not. Resolves when its side of the handshake is over, or with the error. */
export function rawClient(
  port: number,
  credential: Credential | null,
  identity: string,
  options: ConnectionOptions = {},
): Promise<TLSSocket | Error> {
  const proof = credential === null ? {} : { cert: credential.chain, key: credential.privateKey };
  return new Promise((resolve) => {
    const socket = connectTls({
      ...{ port, host: "127.0.0.1", servername: sniOf(identity), rejectUnauthorized: false },
      ...{ ALPNProtocols: [MESH_ALPN], ...proof, ...options },
    });
    socket.once("secureConnect", () => resolve(socket));
    socket.on("error", resolve);
  });
}

export const PLACE = { host: "10.1.2.3", port: 8_080 };
export const CONNECT_TEXT = writeMeshConnect({
  authority: PLACE,
  protocol: "tcp",
  client: "10.0.0.9",
});
