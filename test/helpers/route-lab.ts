import { once } from "node:events";
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import type { DataService, DataTraffic } from "../../src/core/snapshot.ts";
import { ROUTE_RANKS, type RouteRule, type RouteTable } from "../../src/core/traffic.ts";
import { endpoint, type LabOptions, planeLab, service } from "./plane.ts";

export interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: IncomingMessage["headers"];
}

/** A server that says its name and what it got. */
export async function named(t: TestContext, name: string, status = 200) {
  const seen: { url: string; host: string; headers: IncomingMessage["headers"]; body: string }[] =
    [];
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    let body = "";
    request.on("data", (chunk: Buffer) => {
      body += chunk.toString();
    });
    request.on("end", () => {
      const { url = "", headers } = request;
      seen.push({ url, host: headers.host ?? "", headers, body });
      response.writeHead(status, { "x-served-by": name }).end(name);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, seen, name };
}

/** One request by a connection of its own. */
export function ask(port: number, path: string, options: object = {}, body = ""): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const outgoing = httpRequest(
    { port, path, host: "127.0.0.1", headers: { host: "web" }, ...options },
    (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: text, headers: response.headers }),
      );
    },
  );
  outgoing.on("error", reject);
  outgoing.end(body);
  return promise;
}

/** A table of rules for `web`. */
export function table(rules: readonly RouteRule[], more: Partial<RouteTable> = {}): RouteTable {
  return {
    ...{ source: "VirtualService default/web", createdMs: 1, protocol: "http", role: "route" },
    ...{ services: ["default/web"], clients: null, rank: ROUTE_RANKS.istio, order: "listed" },
    ...{ otherwise: "refuse", rules, ...more },
  };
}

/** A rule that matches everything, unless it is said otherwise. */
export const everything = (rule: Partial<RouteRule>): RouteRule => ({
  ...{ name: "", matches: [], action: { kind: "forward", backends: [] } },
  ...rule,
});

/** What holds for all callers. */
export const traffic = (
  settings: DataTraffic["settings"],
  subsets: DataTraffic["subsets"] = [],
) => [{ clients: null, settings, ports: {}, subsets }];

export interface RouteLabOptions extends LabOptions {
  /** Names of the endpoints of `web`, which are also their label `version`. */
  readonly names?: readonly string[];
}

/** A data plane with the service `web`, whose rules and policies are `extras`. */
export async function routeLab(
  t: TestContext,
  extras: Partial<DataService>,
  { names = ["v1", "v2"], ...options }: RouteLabOptions = {},
) {
  const servers = await Promise.all(names.map((name) => named(t, name)));
  const lab = await planeLab(options);
  t.after(() => lab.close());
  const endpoints = servers.map(({ port, name }) => endpoint(port, { meta: { version: name } }));
  const web = { ...service("web", endpoints), slots: { "": 1, v1: 2, v2: 3 }, ...extras };
  lab.services(web);
  return {
    lab,
    servers,
    web,
    ask: (path: string, options = {}, body = "") => ask(lab.port, path, options, body),
  };
}

export const subset = (name: string) => ({
  name,
  labels: { version: name },
  settings: {},
  ports: {},
});
/** Two subsets, by the label `version`. */
export const two = traffic({}, [subset("v1"), subset("v2")]);
export const to = (name: string, weight = 1) => ({ service: "default/web", subset: name, weight });
