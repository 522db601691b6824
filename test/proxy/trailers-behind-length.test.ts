import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { closeEndpoints, http2Endpoint, type OnStream } from "../helpers/h2-endpoints.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
  closeEndpoints();
});

const TRAILERS = { "x-sum": "1", "x-more": "a, b" };
const GET = { ":path": "/", ":authority": "web" };

/** A response that says its length, with these trailers behind it. */
function answering(size: number, trailers: Record<string, string>, more: object = {}): OnStream {
  return (stream) => {
    stream.respond(
      { ":status": 200, "content-length": size, ...more },
      { waitForTrailers: true, endStream: false },
    );
    stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    stream.resume();
    stream.end(Buffer.alloc(size, "x"));
  };
}

async function setUp(onStream: OnStream) {
  const { port } = await http2Endpoint(onStream);
  const lab = await planeLab();
  lab.services(service("web", [endpoint(port)], { protocol: "http2" }));
  const client = new Http2Client(lab.port);
  closers.push(
    () => client.close(),
    () => lab.close(),
  );
  return { lab, client };
}

describe("trailers of a response of known length", () => {
  for (const size of [0, 1, 5, 70_000, 3_000_000]) {
    it(`pass behind ${size} bytes, and the length with them`, async () => {
      const { lab, client } = await setUp(answering(size, TRAILERS));
      for (let round = 0; round < 3; round++) {
        const { status, headers, body, trailers } = await client.ask(GET);
        assert.deepEqual([status, headers["content-length"]], [200, String(size)]);
        assert.ok(body.equals(Buffer.alloc(size, "x")));
        assert.deepEqual(Object.entries(trailers), Object.entries(TRAILERS));
      }
      await until(() => lab.facts.length === 3);
      assert.ok(lab.facts.every(({ error }) => error === null));
    });
  }

  it("pass at the pace of a slow reader", async () => {
    const size = 4_000_000;
    const { client } = await setUp(answering(size, { "x-sum": "1" }));
    const stream = client.session.request(GET);
    let trailers: unknown;
    stream.on("trailers", (fields) => {
      trailers = fields["x-sum"];
    });
    let got = 0;
    stream.on("data", (chunk: Buffer) => {
      got += chunk.length;
      stream.pause();
      setImmediate(() => stream.resume());
    });
    // Node tells of trailers that are behind content which it has not given out yet.
    await until(() => trailers !== undefined && got >= size);
    assert.deepEqual([got, trailers], [size, "1"]);
  });

  it("lose what must not come behind content", async () => {
    const { client } = await setUp(answering(2, { "x-sum": "1", "set-cookie": "a=1", age: "5" }));
    const { trailers } = await client.ask(GET);
    assert.equal(trailers["x-sum"], "1");
    assert.equal(trailers["set-cookie"], undefined);
  });

  it("are dropped for a client of HTTP/1.1, which has no place for them", async () => {
    const { lab } = await setUp(answering(5, { "x-sum": "1" }));
    const client = await RawClient.open(lab.port);
    closers.push(() => client.close());
    const request = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
    client.send(request);
    await client.until(/\r\n\r\nxxxxx$/);
    client.send(request);
    await client.until(/\r\n\r\nxxxxx[^]*\r\n\r\nxxxxx$/);
    assert.doesNotMatch(client.received, /x-sum/);
    assert.match(client.received, /content-length: 5\r\n/i);
  });

  it("tell how a call of gRPC went", async () => {
    const call = { ...GET, ":method": "POST", "content-type": "application/grpc" };
    for (const code of [0, 14]) {
      const { lab, client } = await setUp(
        answering(5, { "grpc-status": String(code) }, { "content-type": "application/grpc" }),
      );
      const { headers, trailers } = await client.ask(call, ["x"]);
      assert.equal(headers["content-length"], "5");
      assert.equal(trailers["grpc-status"], String(code));
      await until(() => lab.facts.length === 1);
      assert.deepEqual([lab.facts[0]?.status, lab.facts[0]?.grpcStatus], [200, code]);
    }
  });
});
