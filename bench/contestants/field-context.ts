import type { Site } from "../lib/site.ts";
import type { Protocol } from "../model.ts";
import type { Issuer } from "./credentials.ts";
import type { Address, Route } from "./relay.ts";

/** What every entry is made from. */
export interface FieldContext {
  readonly site: Site;
  readonly request: {
    readonly protocol: Protocol;
    readonly tls: boolean;
    readonly connections: number;
    readonly workers: number;
  };
  /** The services `web-0`, `web-1`, ... and where they are. */
  readonly routes: readonly Route[];
  /** For pairs that speak TLS; null where none does. */
  readonly issuer: Issuer | null;
}

/** The routes to upstreams. */
export function routesTo(upstreams: readonly Address[]): Route[] {
  return upstreams.map(({ host, port }, at) => ({ authority: `web-${at}`, to: { host, port } }));
}
