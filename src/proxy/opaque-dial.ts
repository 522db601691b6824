import type { MeshError } from "../core/errors.ts";
import type { Carrier } from "../http/carrier.ts";
import { type Asked, judge } from "./judge.ts";
import type { Plane } from "./plane.ts";
import type { TransportTarget } from "./secure-transport.ts";
import type { MeshRoute } from "./upstream/pool/upstream-pool.ts";
import type { Dial } from "./upstream/transport/dial.ts";

/** Told exactly once of the outcome, later, unless the dial is cancelled first. */
export interface OpaqueDialHandler {
  /** The endpoint is connected; the carrier's handler is to be replaced at once. */
  onConnected(carrier: Carrier): void;
  onDialFailed(error: MeshError): void;
}

/**
 * Opens what one opaque connection goes by: a tunnel on a connection to the endpoint's host that others share, or, in the
 * clear and to hosts of older versions, a connection of its own. `asked`: as for `judge`.
 */
export class OpaqueDial implements Dial {
  readonly #plane: Plane;
  readonly #target: TransportTarget;
  readonly #asked: Asked | null;
  readonly #handler: OpaqueDialHandler;
  #dial: { cancel(): void };

  constructor(
    plane: Plane,
    target: TransportTarget,
    asked: Asked | null,
    handler: OpaqueDialHandler,
  ) {
    this.#plane = plane;
    this.#target = target;
    this.#asked = asked;
    this.#handler = handler;
    this.#dial = target.mesh === undefined ? this.#connect() : this.#tunnel(target.mesh);
  }

  #connect(): Dial {
    const { transport, grounds } = this.#plane;
    return transport.dial(this.#target, {
      onConnected: (conn) => {
        const error = judge(conn, this.#asked, grounds);
        if (error === null) this.#handler.onConnected(conn);
        else {
          conn.destroy();
          this.#handler.onDialFailed(error);
        }
      },
      onDialFailed: (error) => this.#handler.onDialFailed(error),
    });
  }

  #tunnel(mesh: MeshRoute): { cancel(): void } {
    const { links, transport } = this.#plane;
    const { host, port, connectMs } = this.#target;
    const handler = {
      onTunnel: (carrier: Carrier, conn: Carrier) => {
        transport.vouch(carrier, conn);
        this.#handler.onConnected(carrier);
      },
      onTunnelFailed: (error: MeshError) => this.#handler.onDialFailed(error),
      onNoTunnels: () => {
        this.#dial = this.#connect();
      },
    };
    return links.tunnel({ host, port }, mesh, handler, connectMs);
  }

  cancel(): void {
    this.#dial.cancel();
  }
}
