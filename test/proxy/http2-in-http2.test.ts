import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:http2";
import { describe, type TestContext, test } from "node:test";
import { Http2Client, type Peer, peer } from "../helpers/h2-peers.ts";
import { endOf } from "../helpers/mesh-streams.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const ASKED = { ":method": "CONNECT", ":authority": "web:80" };

async function stage(
  t: TestContext,
): Promise<{ lab: PlaneLab; client: Http2Client; server: Peer }> {
  const server = await peer(2, (incoming, response) => {
    incoming.on("data", (part: Buffer) => response.write(part));
    incoming.on("end", () => response.end());
  });
  t.after(() => server.close());
  const lab = await planeLab();
  t.after(() => lab.close());
  lab.services(service("web", [endpoint(server.port)]));
  const client = new Http2Client(lab.port);
  t.after(() => client.close());
  return { lab, client, server };
}

describe("HTTP/2 within a stream of HTTP/2", () => {
  test("carries requests whole, in both directions at once", async (t) => {
    const { client, lab } = await stage(t);
    const stream = client.session.request(ASKED, { endStream: false });
    await once(stream, "response");
    const inner = connect("http://web", { createConnection: () => stream });
    t.after(() => inner.destroy());
    const bodies = Array.from({ length: 20 }, (_, at) => Buffer.alloc(at * 50_000, at));
    const all = bodies.map((body, at) => {
      const one = inner.request({ ":method": "POST", ":path": `/${at}` });
      const end = endOf(one);
      one.end(body);
      return end;
    });
    for (const [at, got] of (await Promise.all(all)).entries()) {
      assert.equal(got.status, 200);
      assert.ok(got.body.equals(bodies[at] as Buffer), String(at));
    }
    inner.close();
    await once(stream, "close");
    await until(() => lab.facts.length === bodies.length + 1);
    assert.ok(lab.facts.every(({ error }) => error === null));
  });

  test("ends with the stream that carries it", async (t) => {
    const { client, lab, server } = await stage(t);
    const stream = client.session.request(ASKED, { endStream: false });
    stream.on("error", () => undefined);
    await once(stream, "response");
    const inner = connect("http://web", { createConnection: () => stream });
    inner.on("error", () => undefined);
    const one = inner.request({ ":method": "POST" });
    const end = endOf(one);
    one.on("error", () => undefined);
    one.write("begun");
    await once(one, "data");
    client.session.destroy();
    await end;
    await until(() => lab.plane.stats().connections === 0);
    await until(() => lab.plane.stats().busyUpstream === 0);
    assert.ok(server.opened() > 0);
  });

  test("gives a reader that does not read no more than it may have", async (t) => {
    const { client, lab } = await stage(t);
    const stream = client.session.request(ASKED, { endStream: false });
    await once(stream, "response");
    const inner = connect("http://web", { createConnection: () => stream });
    t.after(() => inner.destroy());
    const large = inner.request({ ":method": "POST" });
    large.end(Buffer.alloc(3_000_000, "x"));
    await once(large, "response");
    large.pause();
    const small = inner.request({ ":method": "POST" });
    small.end("small");
    assert.equal((await endOf(small)).body.toString(), "small");
    const end = endOf(large);
    large.resume();
    assert.equal((await end).body.length, 3_000_000);
    assert.equal(lab.plane.stats().connections, 1);
  });
});
