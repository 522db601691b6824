import type { HostPort } from "../core/address.ts";
import { MeshError } from "../core/errors.ts";
import { REFUSED_STREAM } from "../http/h2/codes.ts";
import {
  type MeshTargetValues,
  meshRefusalFields,
  readMeshTarget,
  readMeshTunnel,
  takeMeshTarget,
} from "../http/h2/mesh-wire.ts";
import { ServerSession, type ServerSessionHandler } from "../http/h2/server-session.ts";
import type { Stream, StreamHandler } from "../http/h2/stream.ts";
import type { Origin } from "./context.ts";
import type { AcceptedLink } from "./downstream/mesh-request.ts";
import { toMeshError } from "./failure.ts";
import { MeshConnection } from "./mesh-connection.ts";
import { meshOrigin } from "./mesh-origin.ts";
import { MeshTunnelStream, refuseStream, StreamHead } from "./mesh-tunnel.ts";
import type { Plane } from "./plane.ts";
import { recordRefusal, streamRefusal } from "./refuse.ts";
import { resolveMesh } from "./resolve.ts";
import { meshSessionDeps } from "./session-deps.ts";
import { type GroupParts, StreamGroup } from "./stream-group.ts";

/** Exchanges kept for the next streams, of all endpoints and clients. */
const MOST_SPARE = 256;

/** Requests of one client to one endpoint. */
interface Called {
  readonly origin: Origin;
  readonly group: StreamGroup;
  /** Of the services, when the endpoint was found to be there. */
  version: number;
}

/** Where a request goes, and what is the endpoint's of its fields. */
interface Asked {
  readonly target: MeshTargetValues | string | null;
  readonly rest: readonly string[];
}

function ask(fields: readonly string[]): Asked {
  const rest = fields.slice();
  return { target: takeMeshTarget(rest), rest };
}

/**
 * A connection of HTTP/2 from another host, or from a ztunnel, whose caller has proved who it is. Each stream says by itself what
 * it wants: a request for an endpoint, which is judged and served like one that came by a connection of its own; or, by HBONE's
 * CONNECT, a connection of TCP, which is a `MeshConnection` as those of older hosts are.
 */
export class MeshSession implements ServerSessionHandler {
  /** Of the connection; its streams have their own. */
  readonly origin: Origin;
  readonly #plane: Plane;
  readonly #link: AcceptedLink;
  readonly #onEnd: () => void;
  readonly #session: ServerSession;
  readonly #parts: GroupParts;
  readonly #called = new Map<string, Called>();
  readonly #tunnels = new Set<MeshConnection>();
  /** Of the heads that repeat. */
  readonly #asked = new WeakMap<readonly string[], Asked>();
  /** Of the request whose stream comes next. */
  #target: MeshTargetValues | string | null = null;
  /** Is the caller no longer trusted? */
  #isFinished = false;

  constructor(plane: Plane, link: AcceptedLink, onEnd: () => void) {
    this.#plane = plane;
    this.#link = link;
    this.#onEnd = onEnd;
    this.origin = meshOrigin(plane, link, null, "");
    this.#parts = { plane, conn: link.conn, spares: { left: MOST_SPARE } };
    this.#session = new ServerSession(link.conn, this, meshSessionDeps(plane, this.origin));
  }

  onFields(fields: readonly string[], repeats: boolean): readonly string[] {
    const known = repeats ? this.#asked.get(fields) : undefined;
    const asked = known ?? ask(fields);
    if (repeats && known === undefined) this.#asked.set(fields, asked);
    this.#target = asked.target;
    return asked.rest;
  }

  onStream(stream: Stream): StreamHandler {
    const target = this.#target;
    if (this.#isFinished) return new StreamHead(() => stream.reset(REFUSED_STREAM));
    if (target === null) {
      return new StreamHead((fields, last) => this.#tunnel(stream, fields, last));
    }
    try {
      const group = this.#groupOf(target);
      if (typeof group !== "string") return group.serve(stream);
      return new StreamHead(() => this.#misasked(stream, group));
    } catch (error) {
      recordRefusal(this.#plane, this.origin, toMeshError(error), true);
      // As if it had not been sent: the caller's host knows of other endpoints.
      return new StreamHead(() => stream.reset(REFUSED_STREAM));
    }
  }

  /** A string says what is wrong with the request. Throws where the endpoint is not here. */
  #groupOf(target: MeshTargetValues | string): StreamGroup | string {
    if (typeof target === "string") return target;
    const key = `${target.endpoint} ${target.client} ${target.protocol}`;
    const { services } = this.#plane;
    const known = this.#called.get(key);
    if (known !== undefined) {
      if (known.version !== services.version) resolveMesh(this.#plane, known.origin);
      known.version = services.version;
      return known.group;
    }
    const asked = readMeshTarget(target);
    if (typeof asked === "string") return asked;
    const origin = meshOrigin(this.#plane, this.#link, asked.endpoint, asked.client);
    resolveMesh(this.#plane, origin);
    const version = asked.protocol === "h2" ? 2 : 1;
    const group = new StreamGroup(this.#parts, origin, version, () => this.#called.delete(key));
    this.#called.set(key, { origin, group, version: services.version });
    return group;
  }

  #misasked(stream: Stream, detail: string): void {
    recordRefusal(this.#plane, this.origin, new MeshError("BAD_REQUEST", detail), true);
    refuseStream(stream, meshRefusalFields(400, detail));
  }

  #tunnel(stream: Stream, fields: readonly string[], last: boolean): void {
    const asked = readMeshTunnel(fields);
    if (typeof asked === "string") {
      this.#misasked(stream, asked);
      return;
    }
    const onGone = () => connection.destroy();
    const { request } = new MeshTunnelStream(this.#link, stream, asked, last, onGone);
    const connection: MeshConnection = new MeshConnection(this.#plane, request, () =>
      this.#tunnels.delete(connection),
    );
    this.#tunnels.add(connection);
    connection.begin();
  }

  onRefused(code: number, detail: string): void {
    recordRefusal(this.#plane, this.origin, streamRefusal(code, detail), true);
  }

  onSessionEnd(): void {
    for (const { group } of this.#called.values()) group.close();
    this.#onEnd();
  }

  /** Policies, authorities or the owners of addresses have changed: ends what may not go on. */
  review(): void {
    const { contexts, services } = this.#plane;
    const { peer, identity } = this.#link;
    if (!contexts.stillTrusted(peer)) this.#finish();
    for (const { origin, group } of [...this.#called.values()]) {
      const { host, port } = origin.destination as HostPort;
      if (services.isTakenOver(host, port, identity)) group.destroy();
      else group.review();
    }
    for (const tunnel of [...this.#tunnels]) tunnel.review();
  }

  /** Certificates have changed: the other host is told to come again where it was shown another one of ours. */
  renew(): void {
    const { identity, proof } = this.#link;
    if (this.#plane.contexts.proofOf(identity) !== proof) this.#session.drain();
  }

  /** Requests that are under way were allowed when they began, and a change of authorities must not fail them. */
  #finish(): void {
    this.#isFinished = true;
    this.#session.drain();
    for (const { group } of [...this.#called.values()]) group.finish();
  }

  /** A shutdown begins: the other host is told, and what is under way goes on. */
  drain(): void {
    this.#session.drain();
    for (const { group } of this.#called.values()) group.drain();
    for (const tunnel of this.#tunnels) tunnel.drain();
  }

  /** Ends it now. */
  destroy(): void {
    this.#link.conn.destroy();
  }
}
