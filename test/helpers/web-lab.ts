import assert from "node:assert/strict";
import { after } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import { endpoint, type LabOptions, type PlaneLab, planeLab, service } from "./plane.ts";
import { answering, RawClient, type RawServer, rawServer } from "./raw.ts";
import { until } from "./until.ts";

export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

type Behaviour = Parameters<typeof rawServer>[0];

export interface WebLabOptions extends Omit<LabOptions, "config"> {
  readonly config?: ConfigInput;
  readonly onConnection?: Parameters<typeof rawServer>[1];
}

/** A data plane with the service `web`, whose one endpoint does what the test says, and `alive`, which answers. */
export interface WebLab {
  readonly lab: PlaneLab;
  readonly upstream: RawServer;
  /** Of the endpoint of `web`. */
  readonly slot: number;
  /** `from`: the loopback address of the client. */
  open(from?: string): Promise<RawClient>;
  /** A new client sends this. */
  send(text: string, from?: string): Promise<RawClient>;
  /**
   * Closes all clients that are left and waits until nothing is held any more: no request in flight, no client
   * connection, nothing in the pools. Then a next client is served, and at last the endpoints are removed
   * and every upstream connection must be counted as closed.
   */
  settle(): Promise<void>;
  close(): Promise<void>;
}

const labs: WebLab[] = [];
after(async () => {
  for (const lab of labs) await lab.close();
});

/** Closed by itself when the test file ends. */
export async function webLab(
  onData: Behaviour = answering(OK),
  { onConnection, config = {}, ...options }: WebLabOptions = {},
): Promise<WebLab> {
  const upstream = await rawServer(onData, onConnection);
  const alive = await rawServer(answering(OK));
  const lab = await planeLab({ ...options, config });
  const places = [endpoint(upstream.port), endpoint(alive.port)] as const;
  lab.services(service("web", [places[0]]), service("alive", [places[1]]));
  const slots = places.map((place) => place.slot);
  const clients: RawClient[] = [];
  const open = async (from?: string): Promise<RawClient> => {
    const client = await RawClient.open(lab.port, "127.0.0.1", from);
    clients.push(client);
    return client;
  };
  const self: WebLab = {
    lab,
    upstream,
    slot: places[0].slot,
    open,
    send: async (text, from) => {
      const client = await open(from);
      client.send(text);
      return client;
    },
    settle: async () => {
      for (const client of clients.splice(0)) client.close();
      await nothingHeld(lab, slots);
      lab.services(service("alive", [places[1]]));
      const next = await open();
      next.send("GET / HTTP/1.1\r\nHost: alive\r\nConnection: close\r\n\r\n");
      assert.match(await next.untilEnd(), /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/);
      next.close();
      lab.services();
      await nothingHeld(lab, slots);
      const isClosed = (slot: number) => lab.endpoints.connections(slot) === 0;
      await until(() => slots.every(isClosed), { what: "the end of all upstream connections" });
    },
    close: async () => {
      for (const client of clients) client.close();
      await lab.close();
      await upstream.close();
      await alive.close();
    },
  };
  labs.push(self);
  return self;
}

/** Waits until no request is in flight and no client is connected; throws with what is still held. */
export async function nothingHeld(lab: PlaneLab, slots: readonly number[]): Promise<void> {
  const held = () => {
    const { connections, busyUpstream, pending } = lab.plane.stats();
    const inFlight = slots.reduce((sum, slot) => sum + lab.endpoints.inFlight(slot), 0);
    return { connections, busyUpstream, pending, inFlight };
  };
  try {
    await until(() => Object.values(held()).every((count) => count === 0));
  } catch {
    assert.fail(`still held: ${JSON.stringify(held())}`);
  }
}
