import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import type { TestContext } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { Credential } from "../../src/core/identity.ts";
import type { AppProtocol } from "../../src/core/model.ts";
import type { DataEndpoint, DataService, DataWorkload } from "../../src/core/snapshot.ts";
import type { LinkPeer } from "./link-peers.ts";
import { credentialsOf, issue, newAuthority, spiffe } from "./mesh-lab.ts";
import { endpoint, type LabOptions, type PlaneLab, planeLab, service, workload } from "./plane.ts";

export const WEB = spiffe("web");
export const [CART, SHOP] = [spiffe("cart"), spiffe("shop")];

/** Two workloads of one identity, and one of another; each calls from an address of its own. */
export const CALLERS: readonly DataWorkload[] = [
  { ...workload(1, "cart-1", "127.0.0.11"), identity: CART },
  { ...workload(2, "cart-2", "127.0.0.12"), identity: CART },
  { ...workload(3, "shop", "127.0.0.13"), identity: SHOP },
];
export const [CART_1, CART_2, SHOP_1] = ["127.0.0.11", "127.0.0.12", "127.0.0.13"];

/** A host whose callers call `web`, which is behind the mesh port of a peer. */
export interface LinkLab extends PlaneLab {
  /** The endpoints are `10.1.0.1:8080` and so on, unless told. */
  serve(
    peer: LinkPeer,
    endpoints?: readonly Partial<DataEndpoint>[],
    more?: ServeMore,
  ): DataService;
  /** Asks for `path` of `web` as the caller with this address. */
  get(path: string, from?: string): Promise<Answer>;
  send(options: SendOptions): Promise<Answer>;
}

export interface ServeMore {
  readonly protocol?: AppProtocol;
  readonly service?: Partial<DataService>;
}

export interface SendOptions {
  readonly path?: string;
  readonly from?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface LinkLabParts {
  readonly lab: LinkLab;
  /** What hosts that serve `web` prove. */
  readonly proof: Credential;
  /** As if an authority left that has vouched for nobody here: connections to other hosts are opened anew. */
  dropAuthority(): void;
}

export async function linkLab(
  t: TestContext,
  { config, ...more }: LabOptions & { config?: ConfigInput } = {},
): Promise<LinkLabParts> {
  const authority = newAuthority();
  const plane = await planeLab({
    ...{ config: { host: "node-a", ...config }, workloads: CALLERS, ...more },
  });
  t.after(() => plane.close());
  const held = [CART, SHOP, "spiffe://cluster.local/ns/hostmesh-hosts/sa/node-a"];
  const credentials = credentialsOf(
    [authority],
    held.map((identity) => issue(authority, identity)),
  );
  plane.plane.setCredentials(credentials);
  const send = (options: SendOptions) => ask(plane.port, options);
  const lab: LinkLab = {
    ...plane,
    serve(peer, endpoints = [{}], { protocol, service: extra } = {}) {
      const all = endpoints.map((one, at) =>
        endpoint(one.port ?? 8_080, {
          ...{ local: false, host: "node-b", identity: WEB, mesh: peer.address },
          ...{ address: `10.1.0.${at + 1}`, ...one },
        }),
      );
      const web = service("web", all, protocol === undefined ? {} : { protocol });
      const whole = { ...web, ...extra };
      plane.services(whole);
      return whole;
    },
    send,
    get: (path, from) => send({ path, ...(from === undefined ? {} : { from }) }),
  };
  const dropAuthority = () => {
    const anchors = [...credentials.anchors, newAuthority("leaving").certificate];
    plane.plane.setCredentials({ ...credentials, anchors });
    plane.plane.setCredentials(credentials);
  };
  return { lab, proof: issue(authority, WEB), dropAuthority };
}

async function ask(
  port: number,
  { path = "/", from = CART_1, method = "GET", headers = {}, body }: SendOptions,
): Promise<Answer> {
  const outgoing = request({
    ...{ port, host: "127.0.0.1", localAddress: from, path, method, agent: false },
    headers: { host: "web", ...headers },
  });
  outgoing.end(body);
  const [response] = (await once(outgoing, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const chunk of response) parts.push(chunk);
  const text = Buffer.concat(parts).toString("latin1");
  return { status: response.statusCode ?? 0, headers: response.headers, body: text };
}
