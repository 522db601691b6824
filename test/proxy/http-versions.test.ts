import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { AppProtocol } from "../../src/core/model.ts";
import { FRAME_GOAWAY, FRAME_RST_STREAM } from "../../src/http/h2/codes.ts";
import { closeEndpoints, frameEndpoint } from "../helpers/h2-endpoints.ts";
import { frame } from "../helpers/h2-frames.ts";
import { FramePeer, get, headers } from "../helpers/h2-lab.ts";
import { type Answer, Http2Client, peer } from "../helpers/h2-peers.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { ask } from "../helpers/route-lab.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
  closeEndpoints();
});

/** Of a client's connection, at once. */
const MOST_STREAMS = 256;
const GET = { ":path": "/", ":authority": "web" };

/** Says in its answer which Via it has got. */
const TELL: Answer = (request, response) => {
  response.setHeader("x-got-via", request.headers.via ?? "");
  response.end();
};

async function setUp(version: 1 | 2, protocol: AppProtocol | undefined, answer = TELL) {
  const server = await peer(version, answer);
  const lab = await planeLab();
  const declared = protocol === undefined ? {} : { protocol };
  lab.services(service("web", [endpoint(server.port)], declared));
  const client = new Http2Client(lab.port);
  closers.push(
    () => client.close(),
    () => lab.close(),
    () => server.close(),
  );
  return { lab, server, client };
}

const PAIRS: readonly [client: 1 | 2, server: 1 | 2][] = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
];
const NAMES = { 1: "HTTP/1.1", 2: "HTTP/2" } as const;
const VIAS = { 1: "1.1 hostmesh", 2: "2.0 hostmesh" } as const;

for (const [from, to] of PAIRS) {
  it(`the versions of a request from ${NAMES[from]} to ${NAMES[to]} are told to all`, async () => {
    const { lab, client } = await setUp(to, to === 2 ? "http2" : "http");
    for (let round = 1; round <= 3; round++) {
      const { headers } = from === 2 ? await client.ask(GET) : await ask(lab.port, "/");
      assert.equal(headers["x-got-via"], VIAS[from], "the endpoint hears how the request came");
      assert.equal(headers["via"], VIAS[to], "the client hears how the response came");
      await until(() => lab.facts.length === round);
      const { httpVersion, version, upstreamVersion } = lab.facts.at(-1) ?? {};
      assert.deepEqual([httpVersion, version, upstreamVersion], [NAMES[from], from, to]);
      assert.equal(lab.series.versions(from, to), round);
    }
  });
}

describe("the version of HTTP", () => {
  it("1.0 is told as what it is", async () => {
    const { lab } = await setUp(1, "http");
    const client = await RawClient.open(lab.port);
    client.send("GET / HTTP/1.0\r\nHost: web\r\n\r\n");
    const answer = await client.untilEnd();
    assert.match(answer, /\r\nx-got-via: 1\.0 hostmesh\r\n/);
    client.close();
    await until(() => lab.facts.length === 1);
    assert.equal(lab.facts[0]?.httpVersion, "HTTP/1.0");
  });

  it("of another proxy before us is kept, and ours put behind it", async () => {
    const { client } = await setUp(1, "http");
    const { headers } = await client.ask({ ...GET, via: "1.0 old, 1.1 edge" });
    assert.equal(headers["x-got-via"], "1.0 old, 1.1 edge, 2.0 hostmesh");
  });

  it("of an endpoint is none where no endpoint was reached", async () => {
    const { lab, client } = await setUp(2, undefined);
    lab.services();
    assert.equal((await client.ask(GET)).status, 404);
    await until(() => lab.facts.length === 1);
    assert.deepEqual([lab.facts[0]?.version, lab.facts[0]?.upstreamVersion], [2, 0]);
    assert.equal(lab.series.versions(2, 0), 1);
  });
});

/** How often this was counted with this code. */
function counted(
  lab: PlaneLab,
  side: "downstream" | "upstream",
  what: Parameters<PlaneLab["series"]["http2"]>[1],
  code: number,
): number {
  return lab.series.http2(side, what)[code] ?? 0;
}

describe("connections of HTTP/2 are counted:", () => {
  it("resets that clients and endpoints send", async () => {
    const { lab, client } = await setUp(2, "http2", (request, response) => {
      if (request.url === "/reset") response.stream.close(11);
    });
    const open = client.session.request({ ...GET, ":path": "/open" });
    open.on("error", () => undefined);
    await until(() => lab.plane.stats().busyUpstream === 1);
    open.close(8);
    await until(() => counted(lab, "downstream", "reset-received", 8) === 1);
    await client.ask({ ...GET, ":path": "/reset", ":method": "POST" }, ["x"]);
    await until(() => counted(lab, "upstream", "reset-received", 11) === 1);
  });

  it("requests beyond the limit, which are refused", async () => {
    const { lab } = await setUp(2, "http2", () => undefined);
    const ids = Array.from({ length: MOST_STREAMS + 2 }, (_, at) => 2 * at + 1);
    const client = await FramePeer.greet(
      lab.port,
      ...ids.map((id) => headers(id, [...get().slice(0, -1), "web"])),
    );
    await until(() => client.lines.filter((line) => /^reset \d+ 7$/.test(line)).length === 2);
    assert.equal(counted(lab, "downstream", "refused", 7), 2);
  });

  it("those that end for an error, and the GOAWAYs that say so", async () => {
    const { lab } = await setUp(2, "http2");
    const client = await FramePeer.greet(lab.port, headers(2, get()));
    await client.untilClosed();
    assert.equal(counted(lab, "downstream", "failed", 1), 1);
    assert.equal(counted(lab, "downstream", "goaway-sent", 1), 1);
  });

  it("GOAWAYs of a shutdown, at both of its ends", async () => {
    const { lab, client } = await setUp(2, "http2");
    await client.ask(GET);
    await lab.plane.drain(1_000);
    assert.ok(counted(lab, "downstream", "goaway-sent", 0) >= 1);
    assert.equal(counted(lab, "upstream", "goaway-sent", 0), 1);
    assert.equal(
      lab.series.http2("downstream", "failed").every((count) => count === 0),
      true,
    );
  });

  it("GOAWAYs of endpoints, and codes that have no name", async () => {
    const one = await frameEndpoint();
    const lab = await planeLab();
    lab.services(service("web", [endpoint(one.port)], { protocol: "http2" }));
    closers.push(() => lab.close());
    const asked = ask(lab.port, "/", { method: "POST" }, "x");
    const far = await one.peer();
    await far.until(/^headers 1 /);
    far.send(frame(FRAME_RST_STREAM, 0, 1, [0xff, 0xff, 0xff, 0xff]));
    assert.equal((await asked).status, 502);
    assert.equal(counted(lab, "upstream", "reset-received", 14), 1, "under UNKNOWN");
    far.send(frame(FRAME_GOAWAY, 0, 0, [0, 0, 0, 1, 0, 0, 0, 2]));
    await until(() => counted(lab, "upstream", "goaway-received", 2) === 1);
  });
});
