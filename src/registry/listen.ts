import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { canonicalAddress, formatHostPort, isLoopback } from "../core/address.ts";
import type { Caller } from "./caller.ts";
import type { IdentityOptions, IdentityParts } from "./identity/open-identity.ts";
import type { Log } from "./log.ts";
import type { RegistryPort, RequestCounts } from "./request-counts.ts";
import type { Route } from "./route.ts";
import { listenRegistry, type RegistryServer, type RegistryServerOptions } from "./server.ts";

/** What both ports share. */
export interface Listening {
  readonly routes: readonly Route[];
  revision(): number;
  upgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    callerOf?: (request: IncomingMessage) => Caller,
  ): void;
  readonly requests: RequestCounts;
  readonly log: Log;
  readonly requestTimeoutMs?: number;
}

/** Starts the plain port, whose callers are operators. */
export async function listenPlain(
  shared: Listening,
  bind: string,
  port: number,
): Promise<RegistryServer> {
  const server = await listenRegistry({ ...serverOptions(shared, "plain"), bind, port });
  if (bind !== "localhost" && !isLoopback(canonicalAddress(bind))) {
    const address = formatHostPort(bind, server.port);
    const reason = "the registry's plain port has no login: whoever reaches it may change the mesh";
    shared.log.warn(reason, { address });
  }
  return server;
}

/**
 * Starts the TLS port, whose callers show who they are; null where it cannot be had and is not required. Rejects where
 * it is required.
 */
export async function listenSecurely(
  shared: Listening,
  identity: IdentityParts,
  { tlsBind: bind, tlsPort: port, isRequired }: IdentityOptions,
): Promise<RegistryServer | null> {
  const { own, callerOf } = identity;
  try {
    const server = await listenRegistry({
      ...serverOptions(shared, "tls"),
      ...{ bind, port, tls: { first: own.make(), callerOf } },
      upgrade: (request, socket, head) => shared.upgrade(request, socket, head, callerOf),
    });
    own.keep((tls) => server.setTls(tls));
    const address = formatHostPort(bind, server.port);
    shared.log.info("the registry listens on TLS", { address });
    return server;
  } catch (error) {
    if (isRequired) throw error;
    const address = formatHostPort(bind, port);
    const reason = "the registry serves without TLS: no daemon gets an identity";
    shared.log.warn(reason, { address, error });
    return null;
  }
}

function serverOptions(
  shared: Listening,
  on: RegistryPort,
): Omit<RegistryServerOptions, "bind" | "port"> {
  const { routes, log, requests, requestTimeoutMs } = shared;
  return {
    ...{ routes, log },
    revision: () => shared.revision(),
    answered: (status) => requests.count(on, status),
    upgrade: (request, socket, head) => shared.upgrade(request, socket, head),
    ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
  };
}
