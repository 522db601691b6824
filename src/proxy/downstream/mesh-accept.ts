import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { canonicalAddress } from "../../core/address.ts";
import { deadlineAfter, type Expirable } from "../../core/deadlines.ts";
import { MESH_ALPN } from "../../http/h1/mesh-connect.ts";
import { MESH_ALPNS, MESH_H2_ALPN } from "../../http/h2/mesh-wire.ts";
import { NOBODY } from "../../http/nobody.ts";
import { sessionOverTls } from "../../http/open-conn.ts";
import { MAX_CLIENT_HELLO_BYTES, readClientHello } from "../../identity/client-hello.ts";
import { presentedChain } from "../../identity/presented-chain.ts";
import type { ServerContext } from "../../identity/tls-contexts.ts";
import { MeshAsk } from "./mesh-ask.ts";
import type { MeshAcceptDeps, MeshHandler, MeshRefusal } from "./mesh-request.ts";

/** Alert, fatal, unrecognized_name (RFC 8446 sections 5.1 and 6). */
const UNKNOWN_NAME_ALERT = Buffer.from([21, 3, 3, 0, 2, 2, 112]);

/**
 * Takes a paused socket (with `allowHalfOpen`) that was opened to the mesh port: TLS 1.3 with certificates on both sides,
 * then HTTP/2, or an older host's CONNECT. Until the handshake is done the other side is a stranger: time, bytes and the
 * number of such connections are bounded, and no answer tells it why.
 */
export function acceptMesh(socket: Socket, deps: MeshAcceptDeps, handler: MeshHandler): void {
  if (deps.handshakes.begin()) {
    new Acceptance(socket, deps, handler).start();
    return;
  }
  const remote = canonicalAddress(socket.remoteAddress ?? "");
  socket.on("error", ignore);
  socket.resetAndDestroy();
  handler.onMeshRefused("busy", "too many handshakes at once", remote);
}

/**
 * - `hello`: waits for the ClientHello
 * - `handshake`: OpenSSL has it
 * - `over`: given away, or closed
 */
type State = "hello" | "handshake" | "over";

class Acceptance implements Expirable {
  deadlineMs: number;
  readonly #socket: Socket;
  readonly #deps: MeshAcceptDeps;
  readonly #handler: MeshHandler;
  readonly #remote: string;
  #state: State = "hello";
  #hello: Buffer = Buffer.alloc(0);
  #secured: TLSSocket | null = null;
  #identity = "";
  /** Of the certificate that is shown. */
  #proof: object | null = null;

  constructor(socket: Socket, deps: MeshAcceptDeps, handler: MeshHandler) {
    this.#socket = socket;
    this.#deps = deps;
    this.#handler = handler;
    this.#remote = canonicalAddress(socket.remoteAddress ?? "");
    this.deadlineMs = deadlineAfter(deps.clock.now(), deps.handshakeMs);
  }

  start(): void {
    const socket = this.#socket;
    this.#deps.deadlines.add(this);
    socket.on("error", ignore);
    socket.on("close", this.#onEarlyEnd);
    socket.on("end", this.#onEarlyEnd);
    socket.on("data", this.#onHello);
    socket.resume();
  }

  readonly #onEarlyEnd = (): void => {
    this.#giveUp("closed", "it closed inside the handshake");
  };

  readonly #onHello = (chunk: Buffer): void => {
    const bytes = this.#hello.length === 0 ? chunk : Buffer.concat([this.#hello, chunk]);
    this.#hello = bytes;
    const hello = readClientHello(bytes);
    if (hello === "incomplete" && bytes.length < MAX_CLIENT_HELLO_BYTES) return;
    if (typeof hello === "string") this.#giveUp("not-tls", "its first bytes are no ClientHello");
    else this.#chooseContext(hello.serverName);
  };

  #chooseContext(serverName: string): void {
    const socket = this.#socket;
    try {
      const { contexts, calledIdentity } = this.#deps;
      const chosen = contexts.server(serverName) ?? contexts.serverOf(calledIdentity);
      if (chosen !== null) {
        this.#secure(chosen);
        return;
      }
      socket.write(UNKNOWN_NAME_ALERT);
      this.#giveUp("unknown-name", "it asks for an identity that is not on this host");
    } catch (error) {
      this.#giveUp("unknown-name", `the certificate of that identity is unusable: ${error}`);
    }
  }

  #secure({ context, identity }: ServerContext): void {
    const socket = this.#socket;
    this.#state = "handshake";
    this.#identity = identity;
    this.#proof = this.#deps.contexts.proofOf(identity);
    socket.pause();
    socket.off("data", this.#onHello);
    socket.off("end", this.#onEarlyEnd);
    socket.unshift(this.#hello);
    this.#hello = Buffer.alloc(0);
    const secured = new TLSSocket(socket, {
      ...{ isServer: true, secureContext: context, ALPNProtocols: [...MESH_ALPNS] },
      // A certificate must be there; we judge it ourselves.
      ...{ requestCert: true, rejectUnauthorized: true },
    });
    this.#secured = secured;
    secured.once("secure", () => this.#authenticate(secured));
    secured.on("error", (error) => this.#giveUp("handshake", error.message));
    // Errors of a TLSSocket that no tls.Server made come by this event alone once its handshake is done.
    secured.on("_tlsError", (error: Error) => {
      if (this.#secured !== null) secured.destroy(error);
    });
    secured.on("close", this.#onEarlyEnd);
  }

  #authenticate(secured: TLSSocket): void {
    const version = secured.alpnProtocol;
    if (version !== MESH_H2_ALPN && version !== MESH_ALPN) {
      this.#giveUp("handshake", `it speaks none of ${MESH_ALPNS.join(", ")}`);
      return;
    }
    const { peer, error } = this.#deps.contexts.verifyPeer(presentedChain(secured));
    if (peer === undefined) {
      this.#giveUp("certificate", error);
      return;
    }
    this.#leave();
    const known = {
      peer,
      principal: peer.identity,
      identity: this.#identity,
      remote: this.#remote,
    };
    if (version === MESH_H2_ALPN) {
      this.#deps.handshakes.end();
      const conn = sessionOverTls(secured, this.#socket, NOBODY);
      this.#handler.onMeshLink({ ...known, conn, proof: this.#proof });
    } else {
      const { deadlineMs } = this;
      new MeshAsk(
        { ...known, secured, socket: this.#socket, deadlineMs },
        this.#deps,
        this.#handler,
      );
    }
  }

  #leave(): void {
    this.#state = "over";
    this.#deps.deadlines.delete(this);
  }

  #giveUp(refusal: MeshRefusal, detail: string): void {
    if (this.#state === "over") return;
    this.#deps.handshakes.end();
    this.#leave();
    this.#secured?.destroy();
    this.#socket.destroySoon();
    this.#handler.onMeshRefused(refusal, detail, this.#remote);
  }

  onDeadline(): void {
    this.#giveUp("timeout", `limit ${this.#deps.handshakeMs} ms`);
  }
}

function ignore(): void {
  // What matters follows with "close".
}
