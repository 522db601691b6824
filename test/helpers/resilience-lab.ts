import assert from "node:assert/strict";
import type { Socket } from "node:net";
import type { TestContext } from "node:test";
import type { DataService, DataTraffic, DataWorkload } from "../../src/core/snapshot.ts";
import type { RetryRule, RouteRule, TrafficSettings } from "../../src/core/traffic.ts";
import { HandTimers } from "./hand-timers.ts";
import { endpoint, type LabOptions, type PlaneLab, planeLab, service, workload } from "./plane.ts";
import { answering, RawClient, type RawServer, rawServer } from "./raw.ts";
import { everything, table, traffic } from "./route-lab.ts";
import { until } from "./until.ts";

export type Behaviour = (socket: Socket, received: string, index: number) => void;

export const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
export const POST = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody";

/** A response with a body of two bytes. */
export function response(status: number, fields = "", body = "ok"): string {
  return `HTTP/1.1 ${status} Text\r\n${fields}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** Answers every request with this status. */
export const status = (code: number, fields = ""): Behaviour => answering(response(code, fields));
/** Answers every request. */
export const well: Behaviour = answering(response(200));
/** Takes every request and says nothing. */
export const silent: Behaviour = () => undefined;
export const resetting: Behaviour = (socket) => socket.resetAndDestroy();

/** A rule for retries: of every failure, without a pause, unless it is said otherwise. */
export function retry(more: Partial<RetryRule> = {}): RetryRule {
  return {
    ...{ attempts: 2, on: ["5xx", "timeout"], statuses: [], unsafe: false, avoidTried: true },
    backoff: { baseMs: 0, maxMs: 0 },
    ...more,
  };
}

/** The workload that all of the lab's clients are, for what only workloads may say. */
export const CALLER: DataWorkload = workload(1, "caller", "127.0.0.1");

export interface ResilienceOptions extends LabOptions {
  /** The one rule of the service. */
  readonly rule?: Partial<RouteRule>;
  readonly settings?: TrafficSettings;
  readonly subsets?: DataTraffic["subsets"];
  readonly balance?: DataService["balancer"];
  /** More of each endpoint, by place. */
  readonly places?: readonly Parameters<typeof endpoint>[1][];
}

/** A data plane with the service `web`, whose endpoints behave as the test says, and a clock that it moves. */
export interface ResilienceLab {
  readonly lab: PlaneLab;
  readonly timers: HandTimers;
  /** Whatever is drawn at random comes out as this, from 0 to below 1; at 0 requests begin with the first endpoint. */
  readonly chance: { value: number };
  readonly servers: readonly RawServer[];
  readonly web: DataService;
  open(): Promise<RawClient>;
  /** A new client sends this. */
  send(text: string): Promise<RawClient>;
  /** A request of its own connection; resolves with all that was answered. */
  ask(text?: string): Promise<string>;
  /** Requests that each endpoint has had. */
  counts(): number[];
  /** Waits until nothing is held: no request, no retry, nobody waiting. Connections may be idle. */
  settle(): Promise<void>;
}

export async function resilienceLab(
  t: TestContext,
  behaviours: readonly Behaviour[],
  { rule, settings = {}, subsets = [], places = [], balance, ...options }: ResilienceOptions = {},
): Promise<ResilienceLab> {
  const timers = new HandTimers();
  const servers = await Promise.all(behaviours.map((one) => rawServer(one)));
  const chance = { value: 0 };
  const lab = await planeLab({ timers, random: () => chance.value, ...options });
  const endpoints = servers.map(({ port }, at) => endpoint(port, places[at] ?? {}));
  const web: DataService = {
    ...service("web", endpoints),
    slots: { "": 1, v1: 2, v2: 3 },
    traffic: traffic(settings, subsets),
    ...(rule === undefined ? {} : { routes: [table([everything(rule)])], routeStamp: "1" }),
    ...(balance === undefined ? {} : { balancer: balance }),
  };
  lab.services(web);
  const clients: RawClient[] = [];
  t.after(async () => {
    for (const client of clients) client.close();
    await lab.close();
    for (const server of servers) await server.close();
  });
  const open = async () => {
    const client = await RawClient.open(lab.port);
    clients.push(client);
    return client;
  };
  const send = async (text: string) => {
    const client = await open();
    client.send(text);
    return client;
  };
  return {
    ...{ lab, timers, chance, servers, web, open, send },
    counts: () => servers.map((one) => requestsIn(one.received.join(""))),
    async ask(text = GET) {
      const client = await send(text.replace("\r\n", "\r\nConnection: close\r\n"));
      const received = await client.untilEnd();
      client.close();
      return received;
    },
    settle: () =>
      settled(
        lab,
        endpoints.map(({ slot }) => slot),
      ),
  };
}

/** Waits until neither the service nor its endpoints count anything as under way. */
async function settled(lab: PlaneLab, slots: readonly number[]): Promise<void> {
  const { serviceLimits } = lab.memory;
  const held = () => {
    const { busyUpstream, pending } = lab.plane.stats();
    const inFlight = slots.reduce((sum, slot) => sum + lab.endpoints.inFlight(slot), 0);
    const ofService = [1, 2, 3].map(
      (slot) =>
        serviceLimits.requests(slot) + serviceLimits.pending(slot) + serviceLimits.retries(slot),
    );
    return { busyUpstream, pending, inFlight, ofService: ofService.join() };
  };
  const isFree = () => Object.values(held()).every((one) => one === 0 || one === "0,0,0");
  try {
    await until(isFree);
  } catch {
    assert.fail(`still held: ${JSON.stringify(held())}`);
  }
}

/** Heads of requests in what a server has received. */
export function requestsIn(received: string): number {
  return received.match(/^[A-Z]+ \S+ HTTP\/1\.1\r$/gm)?.length ?? 0;
}
