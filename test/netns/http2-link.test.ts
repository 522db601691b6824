import assert from "node:assert/strict";
import { after, afterEach, before, describe, type TestContext, test } from "node:test";
import { until } from "../helpers/until.ts";
import { machineMs } from "./helpers/answer-lines.ts";
import type { Places } from "./helpers/link-calls.ts";
import type { CallReport, Fate, LoopReport, SmallReport } from "./helpers/link-reports.ts";
import { Mesh, type MeshContainer, type MeshHost } from "./helpers/mesh.ts";
import { kill } from "./helpers/namespace.ts";
import { skipReason } from "./helpers/privilege.ts";
import { Script } from "./helpers/program.ts";
import { noTunReason, type ShapedLink } from "./helpers/shaped-link.ts";

/** What was away is asked again soon. */
const SETTINGS = ["balance.baseEjectionMs=300", "balance.maxEjectionMs=600"];
const DAEMON = { capture: "tproxy", enrol: true, set: SETTINGS } as const;

/** Where this is said, what stands still for so long is given up. */
const GIVE_UP_MS = 3_000;
const IMPATIENT = [
  ...["connectMs", "handshakeMs", "streamIdleMs", "responseHeadMs", "tunnelIdleMs", "halfCloseMs"],
].map((name) => `timeouts.${name}=${GIVE_UP_MS}`);

/** Which port of `link-app.ts` serves which of the `Places`. */
const PORTS = {
  ...{ web: 8_080, h2: 8_081, grpc: 8_082 },
  ...{ last: 7_000, first: 7_001, echo: 7_002 },
} as const;
const PROTOCOLS = {
  ...{ web: "http", h2: "http2", grpc: "grpc" },
  ...{ last: "tcp", first: "tcp", echo: "tcp" },
} as const;
type Place = keyof typeof PORTS;
const PLACES = Object.keys(PORTS) as Place[];

/** Two hosts that speak mutual TLS over a link that can be spoiled. */
interface Stage {
  readonly mesh: Mesh;
  readonly a: MeshHost;
  readonly b: MeshHost;
  readonly link: ShapedLink;
  /** Clients of one identity in two containers, both of the far application; */
  readonly client: Script;
  readonly beside: Script;
  /** and one of services with an application on each host. */
  readonly both: Script;
  readonly app: Script;
}

/** Services `far-PLACE`, and `both-PLACE` with an endpoint near the clients too. */
async function register(
  mesh: Mesh,
  [near, far]: readonly MeshContainer[],
  clients: readonly MeshContainer[],
): Promise<void> {
  const ends = { far: [far], both: [near, far] };
  const services = Object.entries(ends).flatMap(([group, at]) =>
    PLACES.map((place) => ({ name: `${group}-${place}`, at })),
  );
  await mesh.apply({
    services: services.map(({ name }) => ({
      name,
      protocol: PROTOCOLS[name.split("-")[1] as Place],
      balancer: { policy: "round-robin", slowStartMs: 0 },
    })),
    endpoints: services.flatMap(({ name, at }) =>
      at.map((one) => {
        const port = PORTS[name.split("-")[1] as Place];
        return one?.on.endpoint(`${name}-${one.name}`, name, one, port) ?? {};
      }),
    ),
    workloads: [
      ...[near, far].map((one) => one?.account ?? {}),
      // Of one identity: what they send may share connections between the hosts.
      ...clients.map(({ workload }) => ({ ...workload, serviceAccount: "client" })),
    ],
  });
}

async function placesOf(mesh: Mesh, group: "far" | "both"): Promise<Places> {
  const places: Partial<Record<Place, string>> = {};
  for (const place of PLACES) {
    places[place] = `${(await mesh.addressesOf(`${group}-${place}`)).v4}:80`;
  }
  return places as Places;
}

async function makeStage(): Promise<Stage> {
  const mesh = await Mesh.create({ shaped: true });
  try {
    const a = await mesh.host("a", { veth: "unnumbered" });
    const b = await mesh.host("b", { veth: "unnumbered" });
    const [link] = mesh.links;
    assert.ok(link !== undefined);
    const front = await a.container("front", { address4: "10.1.0.2" });
    const side = await a.container("side", { address4: "10.1.0.3" });
    const near = await a.container("near", { address4: "10.1.0.4" });
    const far = await b.container("far", { address4: "10.2.0.2" });
    const start = ({ container, name }: MeshContainer, script: string, ...args: string[]) =>
      Script.start(container.namespace, script, args.length > 0 ? args : [name]);
    const [app] = await Promise.all([
      ...[start(far, "link-app"), start(near, "link-app")],
      mesh.startRegistry(a),
    ]);
    await register(mesh, [near, far], [front, side]);
    await Promise.all([a, b].map((host) => host.startDaemon(DAEMON)));
    const [of, to] = [await placesOf(mesh, "far"), await placesOf(mesh, "both")];
    const [client, beside, both] = await Promise.all([
      ...[start(front, "link-client", JSON.stringify(of))],
      ...[start(side, "link-client", JSON.stringify(of))],
      ...[start(front, "link-client", JSON.stringify(to))],
      ...[a.untilCaptured(front, side, near), b.untilCaptured(far)],
      ...[a.untilCertified(), b.untilCertified()],
    ]);
    return { mesh, a, b, link, client, beside, both, app } as Stage;
  } catch (error) {
    await mesh.destroy();
    throw error;
  }
}

const MANY = 40;
/** Of calls, as `link-client.ts` knows them. */
const KINDS = [
  ...["h2 echo", "h2 download", "h2 upload", "h1 echo", "h1 download", "h1 upload"],
  ...["grpc unary", "grpc expand", "grpc collect", "grpc chat"],
  ...["websocket", "connect", "tcp", "tcp first"],
];
const ECHOES = new Set(["h2 echo", "h1 echo", "grpc unary"]);
const ALL_DONE = Object.fromEntries(KINDS.map((kind) => [kind, ECHOES.has(kind) ? MANY : 4]));

describe("HTTP/2 over a link between hosts", { skip: noTunReason() || skipReason() }, () => {
  let stage: Stage;
  before(async () => {
    stage = await makeStage();
  });
  afterEach(() => stage?.link.shape({}));
  after(() => stage?.mesh.destroy());

  /** Calls of all kinds at once, each checked byte by byte. */
  async function mix(t: TestContext, large: number): Promise<void> {
    const asked = { op: "mix", many: MANY, large, only: KINDS };
    const { done, failures, ms } = await stage.client.ask<CallReport>(asked);
    t.diagnostic(`all done after ${ms} ms`);
    assert.deepEqual(failures, []);
    assert.deepEqual(done, ALL_DONE);
    const { uploads } = await stage.app.ask<{ uploads: string[] }>({ forget: true });
    assert.equal(uploads.length, 4, "what came after the server had ended its side");
  }

  const works = () => stage.client.ask<CallReport>({ op: "calls", count: 1, prefix: "works" });

  test("loses packets and is slow: every call comes to its end, with the right content", async (t) => {
    await stage.link.shape({ lossShare: 0.01, delayMs: 4, jitterMs: 2 });
    await mix(t, 200_000);
    const [there, back] = await stage.link.tallies();
    assert.ok(there.lost > 10 && back.lost > 10, `lost ${there.lost} and ${back.lost}`);
  });

  test("reorders and duplicates: so it does", async (t) => {
    const shape = { delayMs: 2, reorderShare: 0.05, reorderMs: 6, duplicateShare: 0.05 };
    await stage.link.shape(shape);
    await mix(t, 500_000);
    const [there, back] = await stage.link.tallies();
    for (const { reordered, duplicated } of [there, back]) {
      assert.ok(reordered > 20 && duplicated > 20, `${reordered} and ${duplicated}`);
    }
  });

  test("readers that do not read stop nobody beside them", async (t) => {
    const { client, beside } = stage;
    const bytes = 8_000_000;
    await client.ask({ op: "stuff", bytes });
    const meanwhile = await Promise.all(
      [client, beside].map((one) => one.ask<SmallReport>({ op: "small", rounds: 20 })),
    );
    const [{ read }, during] = await Promise.all([
      client.ask<{ read: unknown[] }>({ op: "resume" }),
      beside.ask<SmallReport>({ op: "small", rounds: 20 }),
    ]);
    assert.deepEqual(read, [bytes, bytes, bytes + 64, bytes], "they got all in the end");
    for (const { slowestMs, failures } of [...meanwhile, during]) {
      t.diagnostic(`slowest: ${JSON.stringify(slowestMs)} ms`);
      assert.deepEqual(failures, []);
      for (const ms of Object.values(slowestMs)) assert.ok(ms < 3_000, `${ms} ms`);
    }
  });

  test("is slow and full of large messages: small ones get through beside them", async (t) => {
    const { client, beside, link } = stage;
    await link.shape({ bytesPerSecond: 5_000_000 });
    const only = ["h2 download", "h2 upload", "h1 download"];
    const large = { op: "mix", many: 0, large: 1_000_000, only };
    const [bulk, small] = await Promise.all([
      client.ask<CallReport>(large),
      beside.ask<SmallReport>({ op: "small", rounds: 10 }),
    ]);
    t.diagnostic(`${bulk.ms} ms for all, slowest of the small: ${JSON.stringify(small.slowestMs)}`);
    assert.deepEqual([...bulk.failures, ...small.failures], []);
    assert.ok(bulk.ms > 1_000, "the link was slow");
    for (const ms of Object.values(small.slowestMs)) assert.ok(ms < 3_000, `${ms} ms`);
  });

  for (const kind of ["close", "refuse"] as const) {
    test(`a server that goes away in the midst of calls loses none: ${kind}`, async () => {
      const { client, app } = stage;
      for (const round of [1, 2, 3]) {
        await app.ask({ forget: true, goAway: { kind, at: 60 } });
        const asked = { op: "calls", count: 64, prefix: `${kind}${round}-` };
        const { failures } = await client.ask<CallReport>(asked);
        assert.deepEqual(failures, []);
        const seen = await app.ask<{ calls: Record<string, number>; goAways: number }>({});
        assert.equal(seen.goAways, 1);
        assert.equal(Object.keys(seen.calls).length, 64);
        const twice = Object.entries(seen.calls).filter(([, count]) => count !== 1);
        assert.deepEqual(twice, [], "a POST that was looked at is not sent again");
      }
    });
  }

  test("the far generation dies: what may be repeated is", async (t) => {
    const { client, b } = stage;
    const kinds = ["h2 get", "h1 get"];
    await client.ask({ op: "loop", kinds, at: 4 });
    // A connection that was lost before it had served anything is no reason to try again.
    const sofar: Record<string, number> = {};
    const settled = async () => {
      const { done, failures } = await client.ask<LoopReport>({ op: "report" });
      assert.deepEqual(failures, []);
      for (const kind of kinds) sofar[kind] = (sofar[kind] ?? 0) + (done[kind] ?? 0);
      return kinds.every((kind) => (sofar[kind] ?? 0) > 60);
    };
    await until(settled, { what: "calls" });
    const [generation = 0] = b.daemon.children;
    kill(generation);
    await until(() => b.daemon.children.some((pid) => pid !== generation), {
      what: "the next generation",
    });
    const { done, failures } = await client.ask<LoopReport>({ op: "report", stop: true });
    t.diagnostic(JSON.stringify(done));
    assert.deepEqual(failures, []);
    assert.equal((await works()).done["call"], 1);
  });

  test("the far daemon is stopped and started: no call fails that has another place to go to", async () => {
    const { both, client, b } = stage;
    const kinds = ["h2 echo", "h2 get", "h1 echo", "grpc unary", "grpc drip"];
    await both.ask({ op: "loop", kinds, at: 3 });
    const failures: string[] = [];
    const servedBy = (server: string) => async () => {
      const report = await both.ask<LoopReport>({ op: "report" });
      failures.push(...report.failures);
      return (report.servers[server] ?? 0) > 0;
    };
    await until(servedBy("far"), { what: "calls to the far one" });
    assert.equal(await b.daemon.end("SIGTERM"), 0, b.daemon.output);
    const { failures: alone } = await works();
    assert.match(alone.join(), /50[234] [A-Z]/, "a service that is there only");
    await until(servedBy("near"), { what: "calls to the near one" });
    await b.startDaemon(DAEMON);
    await until(servedBy("far"), { what: "calls to the far one, again" });
    const last = await both.ask<LoopReport>({ op: "report", stop: true });
    assert.deepEqual([...failures, ...last.failures], []);
    const whole = await client.ask<CallReport>({ op: "mix", many: 4, large: 1_000, only: KINDS });
    assert.deepEqual(whole.failures, []);
  });

  test("is cut in mid-stream, and mended: calls end in time, and new ones work", async (t) => {
    const { client, link, a, b } = stage;
    await Promise.all([a, b].map((host) => host.daemon.end("SIGTERM")));
    const impatient = { ...DAEMON, set: [...SETTINGS, ...IMPATIENT] };
    await Promise.all([a, b].map((host) => host.startDaemon(impatient)));
    await Promise.all([a, b].map((host) => host.untilCertified()));
    await until(async () => (await works()).failures.length === 0, { what: "a call" });
    await client.ask({ op: "hold" });
    const cutMs = machineMs();
    await link.shape({ cut: true });
    const during = works();
    const { fates } = await client.ask<{ fates: Fate[] }>({ op: "fates" });
    const endedMs = machineMs();
    const { failures } = await during;
    await link.shape({});
    // What the far side has given up meanwhile is found out by a call that fails.
    const all = { op: "mix", many: 4, large: 1_000, only: KINDS };
    const worked = async () => (await client.ask<CallReport>(all)).failures.length === 0;
    await until(worked, { what: "calls of all kinds after the mending" });
    const workedMs = machineMs();
    t.diagnostic(
      `${fates.map(({ kind, how, atMs }) => `${kind}: ${how} after ${Math.round(atMs - cutMs)} ms`)}`,
    );
    t.diagnostic(`a call meanwhile: ${failures}; works ${Math.round(workedMs - endedMs)} ms after`);
    assert.match(failures.join(), /50[234] [A-Z]/);
    for (const { kind, how, atMs } of fates) {
      assert.ok(atMs - cutMs < 3 * GIVE_UP_MS, `${kind} took ${atMs - cutMs} ms`);
      if (kind === "h2 without an answer") assert.match(how, /^50[24] [A-Z]/);
      // DEADLINE_EXCEEDED and UNAVAILABLE.
      else if (kind.startsWith("grpc")) assert.match(how, /^status (4|14)$/);
      else if (kind === "h1" || kind === "h2")
        assert.notEqual(how, "closed", "no end that looks good");
    }
    assert.equal(fates.length, 8);
  });
});
