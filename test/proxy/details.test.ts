import assert from "node:assert/strict";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { ExchangeDetails } from "../../src/core/exchange-details.ts";
import { parseLogFormat } from "../../src/core/log-format.ts";
import { compileFormat } from "../../src/telemetry/access-log/compile-format.ts";
import { Http2Client, peer } from "../helpers/h2-peers.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { answering, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";
import { OK, webLab } from "../helpers/web-lab.ts";

const LATE = { watchDetails: true } as const;

test("without anybody who asks an exchange has no details", async () => {
  const { lab, send } = await webLab(answering(OK));
  await (await send("GET / HTTP/1.1\r\nHost: web\r\n\r\n")).until(/ok$/);
  assert.equal(lab.facts[0]?.details, null);
});

test("both heads, both connections and the times of a request are kept for who asks", async () => {
  const { lab, upstream, send } = await webLab((socket, received) => {
    if (received.endsWith("hi")) socket.write(OK);
  }, LATE);
  const client = await send(
    "POST /a HTTP/1.1\r\nHost: web\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nh",
  );
  await until(() => upstream.received[0]?.endsWith("h") === true);
  client.send("i");
  await client.until(/ok$/);
  const [facts] = lab.facts;
  const details = facts?.details as ExchangeDetails;
  assert.deepEqual(details.request?.fields, ["Host", "web", "X-A", "1", "Content-Length", "2"]);
  assert.deepEqual(details.response?.fields, ["Content-Length", "2"]);
  assert.equal(details.upstream?.remotePort, upstream.port);
  assert.equal(details.client?.localPort, lab.port);
  const { startMs = 0, durationMs = 0 } = facts ?? {};
  assert.ok(details.requestEndMs >= startMs && details.firstByteMs >= details.requestEndMs);
  assert.ok(details.firstByteMs <= startMs + durationMs);
  const { line } = compileFormat(parseLogFormat("istio", "text"), "h");
  assert.match(
    facts === undefined ? "" : line(facts, Date.now()),
    /^\[.*\] "POST \/a HTTP\/1\.1" 200 - via_upstream - "-" 2 2 \d+ \d+ "-" "-" ".{36}" "web" "127\.0\.0\.1:\d+" default\/web 127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ 127\.0\.0\.1:\d+ - default$/,
  );
});

test("trailers of chunked content are kept, and an answer of the proxy's own has no response head", async () => {
  const chunked =
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: abc\r\n\r\n";
  const { lab, send } = await webLab(answering(chunked), LATE);
  const client = await send("GET / HTTP/1.1\r\nHost: web\r\nTE: trailers\r\n\r\n");
  await client.until(/X-Sum: abc\r\n\r\n$/i);
  client.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n");
  await until(() => lab.facts.length === 2);
  assert.match(lab.facts[0]?.details?.trailers ?? "", /X-Sum: abc/i);
  const own = lab.facts[1]?.details;
  assert.deepEqual([own?.response, own?.trailers], [null, ""]);
  assert.match(own?.failure ?? "", /nobody/);
});

test("a stream of HTTP/2 has its client's connection, and its trailers", async (t) => {
  const upstream = await peer(2, (_, response) => {
    response.addTrailers({ "x-sum": "abc" });
    response.end("ok");
  });
  const lab = await planeLab(LATE);
  lab.services(service("web", [endpoint(upstream.port)], { protocol: "http2" }));
  const client = new Http2Client(lab.port);
  t.after(async () => {
    client.close();
    await lab.close();
    await upstream.close();
  });
  await client.ask({ ":path": "/", ":authority": "web", "user-agent": "test" });
  await until(() => lab.facts.length === 1);
  const details = lab.facts[0]?.details;
  assert.match(details?.trailers ?? "", /x-sum: abc/i);
  assert.ok(details?.request?.fields.includes("test"));
  assert.ok((details?.client?.remotePort ?? 0) > 0);
});

test("the name that a TLS handshake asks for is read as it passes", async (t) => {
  const upstream = await rawServer((socket) => socket.destroy());
  const place = { host: "10.99.0.1", port: 443 };
  const lab = await planeLab({ ...LATE, destination: { of: () => place } });
  const options = { addresses: [place.host], protocol: "tls" } as const;
  lab.services(service("db", [endpoint(upstream.port)], options));
  t.after(async () => {
    await lab.close();
    await upstream.close();
  });
  const socket = connectTls({ host: "127.0.0.1", port: lab.port, servername: "db.example" });
  socket.on("error", () => undefined);
  await until(() => lab.facts.length === 1);
  const [facts] = lab.facts;
  assert.deepEqual([facts?.protocol, facts?.details?.serverName], ["tcp", "db.example"]);
  assert.deepEqual(facts?.details?.destination, place);
  socket.destroy();
});
