import type { TestContext } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import type { DataEndpoint, DataService } from "../../src/core/snapshot.ts";
import type { RouteRule, TrafficSettings } from "../../src/core/traffic.ts";
import { GrpcClient, type GrpcHandlers, type GrpcServer, grpcServer } from "./grpc-peers.ts";
import { endpoint, type LabOptions, type PlaneLab, planeLab, service } from "./plane.ts";
import { CALLER } from "./resilience-lab.ts";
import { everything, table, traffic } from "./route-lab.ts";

export interface GrpcLabOptions extends LabOptions {
  readonly protocol?: AppProtocol;
  readonly settings?: TrafficSettings;
  /** The one rule of the service. */
  readonly rule?: Partial<RouteRule>;
  readonly client?: object;
}

export interface GrpcLab {
  readonly lab: PlaneLab;
  readonly servers: readonly GrpcServer[];
  readonly client: GrpcClient;
  readonly endpoints: readonly DataEndpoint[];
  /** The service `web` with these endpoints. */
  web(...endpoints: readonly DataEndpoint[]): DataService;
}

/** A service `web` of a server for each of these, and a client at the proxy's explicit port. */
export async function grpcLab(
  t: TestContext,
  handlers: readonly GrpcHandlers[],
  { protocol, settings = {}, rule, client: channel = {}, ...options }: GrpcLabOptions = {},
): Promise<GrpcLab> {
  const servers = await Promise.all(handlers.map((one) => grpcServer(one)));
  const lab = await planeLab({ workloads: [CALLER], ...options });
  const endpoints = servers.map(({ port }) => endpoint(port));
  const web = (...list: readonly DataEndpoint[]): DataService => ({
    ...service("web", list, protocol === undefined ? {} : { protocol }),
    slots: { "": 1 },
    traffic: traffic(settings),
    ...(rule === undefined ? {} : { routes: [table([everything(rule)])], routeStamp: "1" }),
  });
  lab.services(web(...endpoints));
  const client = new GrpcClient(lab.port, "web", channel);
  t.after(async () => {
    client.close();
    for (const { close } of servers) close();
    await lab.close();
  });
  return { lab, servers, client, endpoints, web };
}
