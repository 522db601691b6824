import assert from "node:assert/strict";
import { constants, type IncomingHttpHeaders } from "node:http2";
import { afterEach, describe, it } from "node:test";
import { closeEndpoints, frameEndpoint, http2Endpoint } from "../helpers/h2-endpoints.ts";
import { frame } from "../helpers/h2-frames.ts";
import { closeLabs, data, headers, word } from "../helpers/h2-lab.ts";
import { Http2Client } from "../helpers/h2-peers.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";
import { nothingHeld } from "../helpers/web-lab.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
  closeLabs();
  closeEndpoints();
});

interface Lab {
  readonly lab: PlaneLab;
  readonly slot: number;
  readonly client: RawClient;
}

/** A client of HTTP/1.1, and a service of HTTP/2 with one endpoint. */
async function webOver(port: number): Promise<Lab> {
  const lab = await planeLab();
  const place = endpoint(port);
  lab.services(service("web", [place], { protocol: "http2" }));
  const client = await RawClient.open(lab.port);
  closers.push(
    () => client.close(),
    () => lab.close(),
  );
  return { lab, slot: place.slot, client };
}

const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const POST = "POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 2\r\n\r\nhi";

describe("an endpoint of HTTP/2 behind a client of HTTP/1.1", () => {
  it("gets requests with content and trailers, and its answers come back with theirs", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const { port, sessions } = await http2Endpoint(async (stream, fields) => {
      seen.push(fields);
      let text = "";
      let end = "";
      stream.on("trailers", (trailers) => {
        end = String(trailers["x-end"]);
      });
      for await (const chunk of stream) text += chunk.toString("latin1");
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "x-back": end }));
      stream.end(text);
    });
    const { lab, slot, client } = await webOver(port);
    client.send(
      "POST /a HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-end: 7\r\n\r\n",
    );
    await client.until(/\r\n\r\n3\r\nabc\r\n0\r\nx-back: 7\r\n\r\n$/);
    assert.match(client.received, /^HTTP\/1\.1 200 OK\r\n[^]*Transfer-Encoding: chunked\r\n/i);
    assert.equal(seen[0]?.[":path"], "/a");
    assert.equal(seen[0]?.[":authority"], "web");
    client.send(GET);
    await until(() => lab.facts.length === 2);
    assert.equal(sessions.length, 1);
    client.close();
    await nothingHeld(lab, [slot]);
    lab.services();
    await until(() => lab.endpoints.connections(slot) === 0);
  });

  it("that refuses a request gets it once more, on another connection, whatever its method", async () => {
    const web = await frameEndpoint();
    const { lab, client } = await webOver(web.port);
    client.send(GET);
    const peer = await web.peer();
    await peer.until(/^headers 1 /);
    peer.send(headers(1, [":status", "204"]));
    await client.until(/204/);
    client.send(POST);
    await peer.until(/^data 3 2 last$/);
    peer.send(frame(3, 0, 3, word(7)));
    const other = await web.peer(1);
    await other.until(/^data 1 2 last$/);
    other.send(headers(1, [":status", "200", "content-length", "2"], false), data(1, "ok", true));
    await client.until(/HTTP\/1\.1 200 OK[^]*\r\n\r\nok$/);
    await until(() => lab.facts.length === 2);
    assert.deepEqual([lab.facts[1]?.attempts, lab.facts[1]?.error], [2, null]);
  });

  it("that refuses many requests at once gets each once more, whatever the budget of retries", async () => {
    const seen = new Set<string>();
    const { port } = await http2Endpoint((stream, fields) => {
      const path = String(fields[":path"]);
      const isFirst = !seen.has(path);
      seen.add(path);
      if (isFirst || path === "/never") stream.close(constants.NGHTTP2_REFUSED_STREAM);
      else {
        stream.respond({ ":status": 200 });
        stream.end(path);
      }
    });
    const { lab } = await webOver(port);
    const client = new Http2Client(lab.port);
    closers.push(() => client.close());
    const ask = (path: string) =>
      client.ask({ ":path": path, ":authority": "web", ":method": "POST" });
    const answers = await Promise.all(Array.from({ length: 60 }, (_, at) => ask(`/${at}`)));
    assert.deepEqual(
      answers.map(({ status, body }) => [status, body.toString()]),
      answers.map((_, at) => [200, `/${at}`]),
    );
    const { status, headers: fields } = await ask("/never");
    assert.deepEqual([status, fields["x-hostmesh-error"]], [502, "UPSTREAM_REFUSED"]);
  });

  it("that loses a request does not get it again where it may have acted on it", async () => {
    const web = await frameEndpoint();
    const { client } = await webOver(web.port);
    client.send(GET);
    const peer = await web.peer();
    await peer.until(/^headers 1 /);
    peer.send(headers(1, [":status", "204"]));
    await client.until(/204/);
    client.send(POST);
    await peer.until(/^data 3 2 last$/);
    peer.socket.resetAndDestroy();
    await client.until(/HTTP\/1\.1 502 [^]*X-Hostmesh-Error: UPSTREAM_RESET\r\n/);
    assert.equal(web.peers.length, 1);
  });
});
