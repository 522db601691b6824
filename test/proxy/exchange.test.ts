import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { answering, RawClient, type RawServer, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

async function setUp(
  onData: Parameters<typeof rawServer>[0],
  config: NonNullable<Parameters<typeof planeLab>[0]>["config"] = {},
): Promise<{ lab: PlaneLab; upstream: RawServer; client: RawClient }> {
  const upstream = await rawServer(onData);
  const lab = await planeLab({ config });
  lab.services(service("web", [endpoint(upstream.port)]));
  const client = await RawClient.open(lab.port);
  closers.push(
    () => upstream.close(),
    () => lab.close(),
    () => client.close(),
  );
  return { lab, upstream, client };
}

describe("an exchange", () => {
  it("forwards a request with the proxy's headers and without hop-by-hop fields", async () => {
    const { upstream, client } = await setUp(answering(OK));
    client.send(
      "GET /a?b HTTP/1.1\r\nHost: web\r\nConnection: keep-alive, x-private\r\nX-Private: 1\r\nKeep-Alive: 5\r\nX-Kept: yes\r\n\r\n",
    );
    await client.until(/ok$/);
    const sent = upstream.received[0] ?? "";
    assert.match(sent, /^GET \/a\?b HTTP\/1\.1\r\nHost: web\r\n/);
    assert.doesNotMatch(sent, /x-private|keep-alive/i);
    assert.match(sent, /X-Kept: yes\r\n/);
    assert.match(sent, /X-Forwarded-For: 127\.0\.0\.1\r\n/);
    assert.match(sent, /X-Request-Id: [0-9a-f-]{36}\r\n/);
    assert.match(sent, /Traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\r\n/i);
    assert.match(sent, /Via: 1\.1 hostmesh\r\n/);
  });

  it("begins traces that are sampled if the operator says so", async () => {
    const telemetry = { newTraces: "sampled" } as const;
    const { upstream, client } = await setUp(answering(OK), { telemetry });
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    await client.until(/ok$/);
    assert.match(upstream.received[0] ?? "", /Traceparent: 00-[0-9a-f]{32}-[0-9a-f]{16}-03\r\n/);
  });

  it("answers pipelined requests in order over one upstream connection", async () => {
    let count = 0;
    const { upstream, client } = await setUp((socket, received) => {
      const heads = received.split("\r\n\r\n").length - 1;
      while (count < heads) {
        const body = `n${count}`;
        count += 1;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
    });
    client.send("GET /0 HTTP/1.1\r\nHost: web\r\n\r\n".repeat(20));
    await client.until(/n19$/);
    const order = [...client.received.matchAll(/\r\n\r\nn(\d+)/g)].map((match) => Number(match[1]));
    assert.deepEqual(
      order,
      Array.from({ length: 20 }, (_, index) => index),
    );
    assert.equal(upstream.sockets.length, 1);
  });

  it("relays a chunked body both ways with its trailers", async () => {
    const { upstream, client } = await setUp((socket, received) => {
      if (!received.endsWith("\r\nX-Sum: 1\r\n\r\n")) return;
      socket.write(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 2\r\n\r\n",
      );
    });
    client.send("POST / HTTP/1.1\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n");
    await client.sendBytewise("5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n");
    await client.until(/3\r\nabc\r\n0\r\nX-T: 2\r\n\r\n$/);
    assert.match(upstream.received[0] ?? "", /5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n$/);
  });

  it("passes 100-continue on before the body is sent", async () => {
    const { client } = await setUp((socket, received) => {
      if (received.endsWith("body")) socket.write(OK);
      else if (received.endsWith("\r\n\r\n")) socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    });
    client.send("PUT / HTTP/1.1\r\nHost: web\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
    await client.until(/^HTTP\/1\.1 100 Continue\r\n/);
    client.send("body");
    await client.until(/HTTP\/1\.1 200 OK[^]*ok$/);
  });

  it("knows that HEAD, 204 and 304 have no body", async () => {
    const answers = [
      "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
      OK,
    ];
    let next = 0;
    const { client } = await setUp((socket) => socket.write(answers[next++] ?? ""));
    for (const [index, method] of ["HEAD", "GET", "GET", "GET"].entries()) {
      client.send(`${method} / HTTP/1.1\r\nHost: web\r\n\r\n`);
      await until(() => client.received.split("HTTP/1.1 ").length === index + 2);
    }
    await client.until(/200 OK[^]*204[^]*304[^]*200 OK[^]*\r\n\r\nok$/);
  });

  it("takes the chunked coding off for an HTTP/1.0 client and closes", async () => {
    const { client } = await setUp(
      answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
      ),
    );
    client.send("GET / HTTP/1.0\r\nHost: web\r\n\r\n");
    const text = await client.untilEnd();
    assert.match(text, /\r\n\r\nabcde$/);
    assert.doesNotMatch(text, /transfer-encoding/i);
  });

  it("ends an EOF-delimited response with the client's connection", async () => {
    const { client } = await setUp((socket) => socket.end("HTTP/1.0 200 OK\r\n\r\nuntil the end"));
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    assert.match(await client.untilEnd(), /Connection: close\r\n[^]*until the end$/);
  });

  it("hands an upgrade to a tunnel, early bytes included", async () => {
    const { client } = await setUp((socket, received) => {
      if (received.endsWith("\r\n\r\n")) {
        socket.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi!",
        );
      } else if (received.endsWith("ping")) socket.end("pong");
    });
    client.send("GET / HTTP/1.1\r\nHost: web\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    await client.until(/101 Switching[^]*\r\n\r\nhi!$/);
    client.send("ping");
    assert.match(await client.untilEnd(), /hi!pong$/);
  });

  it("opens a tunnel for CONNECT to a service", async () => {
    const { client } = await setUp((socket, received) => socket.write(`<${received}>`));
    client.send("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
    await client.until(/^HTTP\/1\.1 200 [^]*\r\n\r\n$/);
    client.send("raw\r\n");
    await client.until(/<raw\r\n>$/);
  });

  it("takes absolute-form and short and long names with a port", async () => {
    const { client } = await setUp(answering(OK));
    const names = [
      "web",
      "web.default",
      "web.default.svc",
      "web.default.svc.cluster.local",
      "web:8080",
    ];
    for (const [index, name] of names.entries()) {
      client.send(`GET http://${name}/ HTTP/1.1\r\nHost: ignored\r\n\r\n`);
      await until(() => client.received.split("200 OK").length === index + 2, { what: name });
    }
  });

  it("tries another endpoint when a connection is refused", async () => {
    const { lab, upstream, client } = await setUp(answering(OK));
    const dead = await rawServer(() => undefined);
    await dead.close();
    lab.services(service("web", [endpoint(dead.port), endpoint(upstream.port)]));
    for (let index = 0; index < 4; index += 1) {
      client.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
      await until(() => client.received.split("200 OK").length === index + 2);
    }
    assert.ok(lab.facts.some((one) => one.attempts === 2));
    assert.doesNotMatch(client.received, /502/);
  });

  it("replays an idempotent request on a reset, and never a POST", async () => {
    const resetting = await rawServer((socket) => socket.resetAndDestroy());
    closers.push(() => resetting.close());
    const { lab, upstream, client } = await setUp(answering(OK));
    lab.services(service("web", [endpoint(resetting.port), endpoint(upstream.port)]));
    for (let index = 0; index < 4; index += 1) {
      client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
      await until(() => client.received.split("200 OK").length === index + 2);
    }
    const only = await RawClient.open(lab.port);
    lab.services(service("web", [endpoint(resetting.port)]));
    const before = resetting.received.length;
    only.send("POST / HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nbody");
    await only.until(/^HTTP\/1\.1 502 [^]*X-Hostmesh-Error: UPSTREAM_RESET\r\n/i);
    assert.equal(resetting.received.length - before, 1);
    only.close();
  });

  it("names cause and component in its own answers", async () => {
    const { client } = await setUp(answering(OK));
    client.send("GET / HTTP/1.1\r\nHost: nowhere\r\n\r\n");
    await client.until(
      /^HTTP\/1\.1 404 [^]*X-Hostmesh-Error: NO_ROUTE\r\nX-Hostmesh-Component: proxy\r\n/,
    );
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    await client.until(/\r\n\r\nok$/);
  });

  it("refuses to call itself", async () => {
    const { lab, client } = await setUp(answering(OK));
    client.send(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${lab.port}\r\n\r\n`);
    await client.until(/^HTTP\/1\.1 508 /);
    const named = await RawClient.open(lab.port);
    named.send(`CONNECT localhost:${lab.port} HTTP/1.1\r\nHost: localhost:${lab.port}\r\n\r\n`);
    await named.until(/^HTTP\/1\.1 508 /);
    lab.services(service("me", [endpoint(lab.port)]));
    const again = await RawClient.open(lab.port);
    again.send("GET / HTTP/1.1\r\nHost: me\r\n\r\n");
    await again.until(/^HTTP\/1\.1 508 /);
    named.close();
    again.close();
  });

  it("gives back every count at the end", async () => {
    const { lab, client } = await setUp(answering(OK));
    client.send("GET / HTTP/1.1\r\nHost: web\r\n\r\n");
    await client.until(/ok$/);
    const slot = lab.facts[0]?.endpoint?.slot ?? -1;
    assert.equal(lab.endpoints.inFlight(slot), 0);
    assert.equal(lab.endpoints.connections(slot), 1);
    lab.services();
    await until(() => lab.endpoints.connections(slot) === 0, { what: "the idle connection's end" });
  });
});
