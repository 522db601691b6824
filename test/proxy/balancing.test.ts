import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { after, describe, it } from "node:test";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { BalancerConfig } from "../../src/core/model.ts";
import type { DataEndpoint, DataWorkload } from "../../src/core/snapshot.ts";
import {
  endpoint,
  type PlaneLab,
  planeLab,
  type ServiceOptions,
  service,
  workload,
} from "../helpers/plane.ts";
import { answering, RawClient, type RawServer, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";
import { nothingHeld, OK } from "../helpers/web-lab.ts";

const FAILED = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

const closers: (() => Promise<void>)[] = [];
after(async () => {
  for (const close of closers) await close();
});

interface Fleet {
  readonly lab: PlaneLab;
  readonly servers: readonly RawServer[];
  readonly places: readonly DataEndpoint[];
  /** Sends so many requests, pipelined on one connection. Resolves with all that came back. */
  ask(count: number, head?: string, from?: string): Promise<string>;
  /** How many requests each endpoint has had. */
  counts(): number[];
  settle(): Promise<void>;
}

interface FleetOptions {
  readonly config?: ConfigInput;
  readonly workloads?: readonly DataWorkload[];
  readonly service?: ServiceOptions;
  readonly weights?: readonly number[];
}

/** A service `web` with an endpoint for each of the behaviours. */
async function fleet(
  behaviours: readonly ((socket: Socket, received: string) => void)[],
  options: FleetOptions = {},
): Promise<Fleet> {
  const servers = await Promise.all(behaviours.map((one) => rawServer(one)));
  const { config = {}, workloads = [] } = options;
  const lab = await planeLab({ config, workloads });
  const places = servers.map(({ port }, index) =>
    endpoint(port, { weight: options.weights?.[index] ?? 1, id: `test/${index}` }),
  );
  lab.services(service("web", places, options.service));
  closers.push(async () => {
    await lab.close();
    for (const server of servers) await server.close();
  });
  return {
    lab,
    servers,
    places,
    ask: async (count, head = GET, from) => {
      const client = await RawClient.open(lab.port, "127.0.0.1", from);
      client.send(head.repeat(count));
      const answers = () => client.received.match(/\r\n\r\n(?:ok|no)(?=HTTP|$)/g)?.length ?? 0;
      await until(() => answers() === count, { what: `${count} answers` });
      client.close();
      return client.received;
    },
    counts: () => servers.map((one) => one.received.join("").split(" HTTP/1.1\r\n").length - 1),
    settle: () =>
      nothingHeld(
        lab,
        places.map((place) => place.slot),
      ),
  };
}

describe("balancing of requests", () => {
  it("holds a request in flight to the end of its response body", async () => {
    const { lab, servers, places, settle } = await fleet(
      [(socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"), answering(OK)],
      { service: { policy: "least-request" } },
    );
    const slot = places[0]?.slot ?? -1;
    const slow: RawClient[] = [];
    while (lab.endpoints.inFlight(slot) === 0) {
      const client = await RawClient.open(lab.port);
      slow.push(client);
      client.send(GET);
      await client.until(/\r\n\r\n(?:ab|ok)$/);
    }
    assert.equal(lab.endpoints.inFlight(slot), 1);
    // While its body is unfinished, the other endpoint has the shorter queue.
    for (let turn = 0; turn < 10; turn += 1) {
      const client = await RawClient.open(lab.port);
      client.send(GET);
      await client.until(/\r\n\r\nok$/);
      client.close();
    }
    assert.equal(servers[0]?.sockets.length, 1);
    servers[0]?.sockets[0]?.write("cd");
    await until(() => lab.endpoints.inFlight(slot) === 0);
    await slow.at(-1)?.until("abcd");
    for (const client of slow) client.close();
    await settle();
  });

  it("sends less to an endpoint that fails fast", async () => {
    const { ask, counts, settle } = await fleet([answering(FAILED), answering(OK), answering(OK)], {
      service: { policy: "peak-ewma" },
      config: { balance: { consecutiveFailures: 0 } },
    });
    await ask(300);
    const [failing = 0, ...others] = counts();
    assert.ok(failing < 10, `${failing} of 300 to the one that fails, ${others} to the others`);
    await settle();
  });

  it("ejects an endpoint after failures in a row, and says so", async () => {
    const { lab, places, ask, counts, settle } = await fleet([answering(FAILED), answering(OK)], {
      config: { balance: { consecutiveFailures: 3, baseEjectionMs: 60_000 } },
    });
    await ask(40);
    assert.deepEqual(counts(), [3, 37]);
    assert.equal(lab.endpoints.ejections(places[0]?.slot ?? -1), 1);
    await settle();
  });

  it("ejects an endpoint that refuses connections, without a failed request", async () => {
    const { lab, servers, places, ask, settle } = await fleet([answering(OK), answering(OK)], {
      config: { balance: { consecutiveFailures: 3 } },
    });
    await servers[0]?.close();
    const received = await ask(40);
    assert.equal(received.split("HTTP/1.1 200 ").length, 41);
    assert.equal(lab.endpoints.ejections(places[0]?.slot ?? -1), 1);
    assert.equal(
      lab.facts.reduce((sum, one) => sum + one.attempts - 1, 0),
      3,
    );
    await settle();
  });

  it("shares by weight", async () => {
    const policies: BalancerConfig["policy"][] = ["round-robin", "random", "least-request"];
    for (const policy of policies) {
      const { ask, counts, settle } = await fleet([answering(OK), answering(OK), answering(OK)], {
        service: { policy },
        weights: [3, 1, 0],
      });
      await ask(400);
      const [heavy = 0, light = 0, none] = counts();
      assert.equal(none, 0, policy);
      assert.equal(heavy + light, 400, policy);
      assert.ok(heavy > 260 && heavy < 340, `${policy}: ${heavy} of 400`);
      await settle();
    }
  });

  it("hashes on a header, a cookie and the source", async () => {
    const workloads = [2, 3, 4, 5, 6, 7, 8, 9].map((last) =>
      workload(last, `w${last}`, `127.0.0.${last}`),
    );
    const same = [answering(OK), answering(OK), answering(OK), answering(OK)];
    for (const policy of ["ring-hash", "maglev"] as const) {
      const keyed = [
        { kind: "header", name: "X-User" },
        { kind: "cookie", name: "session" },
      ] as const;
      for (const hashOn of keyed) {
        const { ask, counts, settle } = await fleet(same, { service: { policy, hashOn } });
        const field = (key: number) =>
          hashOn.kind === "header"
            ? `x-user: user-${key}`
            : `Cookie: a=1; session=user-${key}; b=2`;
        const head = (key: number) => `GET / HTTP/1.1\r\nHost: web\r\n${field(key)}\r\n\r\n`;
        let used = 0;
        for (let key = 0; key < 12; key += 1) {
          const before = counts();
          await ask(5, head(key));
          const now = counts().map((count, index) => count - (before[index] ?? 0));
          assert.deepEqual(now.toSorted(), [0, 0, 0, 5], `${policy} ${hashOn.kind} ${key}`);
          used |= 1 << now.indexOf(5);
        }
        assert.ok(used.toString(2).replaceAll("0", "").length >= 3, "keys are spread");
        await settle();
      }
      const bySource = await fleet(same, { workloads, service: { policy } });
      for (const { addresses } of workloads) {
        const before = bySource.counts();
        await bySource.ask(5, undefined, addresses[0]);
        const now = bySource.counts().map((count, index) => count - (before[index] ?? 0));
        assert.deepEqual(now.toSorted(), [0, 0, 0, 5]);
      }
      await bySource.settle();
    }
  });

  it("loses no request while endpoints come and go under load", async () => {
    const slowly = (socket: Socket, received: string) => {
      if (received.endsWith("\r\n\r\n")) setTimeout(() => socket.write(OK), 3);
    };
    const { lab, places, counts, settle } = await fleet([slowly, slowly, slowly], {
      service: { policy: "peak-ewma" },
    });
    let stop = false;
    let answers = 0;
    const wrong: string[] = [];
    const load = async (): Promise<void> => {
      const client = await RawClient.open(lab.port);
      while (!stop) {
        client.received = "";
        client.send(GET);
        await client.until(/\r\n\r\n[^]+$/);
        answers += 1;
        if (!client.received.startsWith("HTTP/1.1 200 ")) wrong.push(client.received);
      }
      client.close();
    };
    const loads = Array.from({ length: 16 }, load);
    for (let round = 0; round < 12; round += 1) {
      const left = places.filter((_, index) => index !== round % 3);
      lab.services(service("web", left, { policy: "peak-ewma" }));
      const target = answers + 60;
      await until(() => answers >= target);
    }
    stop = true;
    await Promise.all(loads);
    assert.deepEqual(wrong, []);
    assert.ok(counts().every((count) => count > 0));
    await settle();
  });
});

describe("quotas of a workload", () => {
  const workloads = [workload(0, "noisy", "127.0.0.2"), workload(1, "quiet", "127.0.0.3")];

  it("answer 429 above its requests in flight, and let others be", async () => {
    const { lab, servers, settle } = await fleet([() => undefined], {
      workloads,
      config: { limits: { workloadInFlight: 2 } },
    });
    const noisy: RawClient[] = [];
    for (let index = 0; index < 2; index += 1) {
      const client = await RawClient.open(lab.port, "127.0.0.1", "127.0.0.2");
      client.send(GET);
      noisy.push(client);
    }
    await until(() => lab.quotas.inFlight(0) === 2);
    const third = await RawClient.open(lab.port, "127.0.0.1", "127.0.0.2");
    third.send(GET);
    await third.until(/^HTTP\/1\.1 429 [^]*X-Hostmesh-Error: QUOTA_REQUESTS\r\n/);
    const quiet = await RawClient.open(lab.port, "127.0.0.1", "127.0.0.3");
    quiet.send(GET);
    await until(() => servers[0]?.received.filter((one) => one.endsWith("\r\n\r\n")).length === 3);
    for (const socket of servers[0]?.sockets ?? []) socket.write(OK);
    for (const client of [...noisy, quiet]) await client.until(/ok$/);
    assert.equal(lab.quotas.inFlight(0), 0);
    assert.equal(lab.quotas.inFlight(1), 0);
    assert.equal(lab.quotas.connections(0), 3);
    for (const client of [...noisy, third, quiet]) client.close();
    await settle();
    assert.ok(lab.quotas.isIdle(0) && lab.quotas.isIdle(1));
  });

  it("close connections above their number, and let others be", async () => {
    const { lab, ask, settle } = await fleet([answering(OK)], {
      workloads,
      config: { limits: { workloadConnections: 2 } },
    });
    const held: RawClient[] = [];
    for (let index = 0; index < 2; index += 1) {
      held.push(await RawClient.open(lab.port, "127.0.0.1", "127.0.0.2"));
    }
    await until(() => lab.quotas.connections(0) === 2);
    const third = await RawClient.open(lab.port, "127.0.0.1", "127.0.0.2");
    assert.match(await third.untilEnd(), /^HTTP\/1\.1 503 [^]*Error: QUOTA_CONNECTIONS\r\n/);
    await ask(1, undefined, "127.0.0.3");
    held[0]?.close();
    await until(() => lab.quotas.connections(0) === 1);
    await ask(1, undefined, "127.0.0.2");
    for (const client of [...held, third]) client.close();
    await settle();
    assert.ok(lab.quotas.isIdle(0) && lab.quotas.isIdle(1));
  });

  it("are given back however a request ends", async () => {
    let behaviour: (socket: Socket) => unknown = () => undefined;
    const { lab, servers, settle } = await fleet([(socket) => behaviour(socket)], {
      workloads,
      config: { timeouts: { responseHeadMs: 200 } },
    });
    const ways: ((socket: Socket) => unknown)[] = [
      (socket) => socket.write(OK),
      (socket) => socket.write("nonsense\r\n\r\n"),
      (socket) => socket.resetAndDestroy(),
      () => undefined,
      (socket) =>
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", () => socket.end()),
      (socket) =>
        socket.end("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nand the end"),
    ];
    for (const way of ways) {
      behaviour = way;
      const client = await RawClient.open(lab.port, "127.0.0.1", "127.0.0.2");
      client.send("GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
      await until(() => client.ended || /\r\n\r\n[^]+/.test(client.received));
      client.close();
      await until(() => lab.quotas.isIdle(0), { what: `idle quotas after ${way}` });
    }
    assert.equal(lab.facts.length, ways.length);
    assert.ok((servers[0]?.sockets.length ?? 0) >= ways.length - 1);
    await settle();
  });
});
