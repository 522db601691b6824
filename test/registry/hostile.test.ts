import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { until } from "../helpers/until.ts";
import { call, dig, testRegistry } from "./setup.ts";

const BODY = JSON.stringify({ Name: "web", Port: 80 });

/** Writes bytes as they are and collects what comes back. */
function raw(t: TestContext, port: number, text: string): { socket: Socket; reply: () => string } {
  let reply = "";
  const socket = connect(port, "127.0.0.1", () => socket.write(text));
  socket.setEncoding("latin1").on("data", (data: string) => {
    reply += data;
  });
  socket.on("error", () => {});
  t.after(() => socket.destroy());
  return { socket, reply: () => reply };
}

async function stillWorks(registry: { url: string }): Promise<void> {
  const reply = await call(registry, "PUT", "/v1/agent/service/register", BODY);
  assert.equal(reply.status, 200);
}

/** Body -> what the error says. */
const garbled: [string, string | Buffer, RegExp][] = [
  ["no body", "", /no body/],
  ["broken JSON", '{"Name": "web"', /not JSON/],
  [
    "bytes that are not UTF-8",
    Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]),
    /not UTF-8/,
  ],
  ["a list", "[]", /expected object/i],
  ["null", "null", /expected object/i],
  ["a number", "1", /expected object/i],
  ["__proto__", '{"Name":"web","Port":80,"__proto__":{"admin":true}}', /__proto__: this key/],
  [
    "an escaped __proto__ in Meta",
    '{"Name":"web","Port":80,"Meta":{"\\u005f_proto__":"x"}}',
    /Meta\.__proto__/,
  ],
  ["constructor", '{"Name":"web","Port":80,"Meta":{"constructor":"x"}}', /Meta\.constructor/],
  ["deep nesting", `{"Check":${"[".repeat(5_000)}${"]".repeat(5_000)}}`, /nested too deeply/],
];
for (const [what, body, reason] of garbled) {
  test(`${what} in a registration gets 400`, async (t) => {
    const registry = await testRegistry(t);
    const response = await fetch(`${registry.url}/v1/agent/service/register`, {
      method: "PUT",
      body: typeof body === "string" ? body : new Uint8Array(body),
    });
    assert.equal(response.status, 400);
    assert.match(String(dig(await response.json(), "error")), reason);
    assert.equal(Reflect.get({}, "admin"), undefined);
    await stillWorks(registry);
  });
}

test("a declared body beyond the limit gets 413 before it is sent", async (t) => {
  const registry = await testRegistry(t);
  const { reply } = raw(
    t,
    registry.port,
    "PUT /v1/agent/service/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
  );
  await until(() => reply().includes("\r\n\r\n"), { what: "an answer" });
  assert.match(reply(), /^HTTP\/1\.1 413 /);
  assert.match(reply(), /Connection: close/i);
  await stillWorks(registry);
});

test("a chunked body without an end gets 413 when it passes the limit", async (t) => {
  const registry = await testRegistry(t);
  const { socket, reply } = raw(
    t,
    registry.port,
    "PUT /v1/mesh/services/default/web HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
  );
  // The head goes out when the connection stands; no chunk may be queued before it.
  await until(() => socket.bytesWritten > 0, { what: "the head to be sent" });
  const chunk = `10000\r\n${" ".repeat(65_536)}\r\n`;
  const pour = setInterval(() => socket.write(chunk), 1);
  t.after(() => clearInterval(pour));
  await until(() => reply().includes("\r\n\r\n"), { what: "an answer" });
  clearInterval(pour);
  assert.match(reply(), /^HTTP\/1\.1 413 /);
  await stillWorks(registry);
});

test("a body that comes too slowly gets 408 and does not hold up others", async (t) => {
  const registry = await testRegistry(t, { requestTimeoutMs: 200 });
  const { reply } = raw(
    t,
    registry.port,
    "PUT /v1/agent/service/register HTTP/1.1\r\nHost: localhost\r\nContent-Length: 30\r\n\r\n{",
  );
  await stillWorks(registry);
  await until(() => reply() !== "", { what: "an answer" });
  assert.match(reply(), /^HTTP\/1\.1 408 /);
  await stillWorks(registry);
});

test("a head that is too large, or no HTTP, is refused", async (t) => {
  const registry = await testRegistry(t);
  const large = raw(
    t,
    registry.port,
    `GET / HTTP/1.1\r\nHost: localhost\r\nX: ${"a".repeat(20_000)}\r\n\r\n`,
  );
  await until(() => large.reply() !== "", { what: "an answer" });
  assert.match(large.reply(), /^HTTP\/1\.1 431 /);
  const noise = raw(t, registry.port, "\x16\x03\x01\x02\x00\x01\r\n\r\n");
  await until(() => noise.reply() !== "", { what: "an answer" });
  assert.match(noise.reply(), /^HTTP\/1\.1 400 /);
  await stillWorks(registry);
});

test("wrong methods get 405, unknown paths 404, and paths that cannot be decoded 400", async (t) => {
  const registry = await testRegistry(t);
  const wrong = await call(registry, "POST", "/v1/agent/service/register", BODY);
  assert.equal(wrong.status, 405);
  assert.match(String(dig(wrong.body, "error")), /takes PUT, not POST/);
  assert.equal((await call(registry, "DELETE", "/v1/health/service/web")).status, 405);
  assert.equal((await call(registry, "GET", "/v1/kv/secret")).status, 404);
  assert.equal((await call(registry, "GET", "/")).status, 404);
  assert.equal((await call(registry, "GET", "/v1/health/service/%zz")).status, 400);
  assert.equal((await call(registry, "PUT", "/v1/agent/service/deregister/%ff")).status, 400);
  await stillWorks(registry);
});

test("path traversal in an id finds nothing and leaves everything alone", async (t) => {
  const registry = await testRegistry(t);
  await stillWorks(registry);
  for (const id of ["../h1/web", "..%2F..%2Fetc%2Fpasswd", "web/../web"]) {
    const { socket, reply } = raw(
      t,
      registry.port,
      `PUT /v1/agent/service/deregister/${id} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    await until(() => socket.closed, { what: "an answer" });
    assert.match(reply(), /^HTTP\/1\.1 200 /);
  }
  const { body } = await call(registry, "GET", "/v1/agent/services");
  assert.equal(dig(body, "web.Port"), 80);
});

test("pages of other origins are refused, over HTTP and over WebSocket", async (t) => {
  const registry = await testRegistry(t);
  const foreign = { origin: "http://evil.example" };
  const reply = await call(registry, "POST", "/v1/mesh/apply", {}, foreign);
  assert.equal(reply.status, 403);
  // A page of evil.example whose name has come to mean 127.0.0.1 is of the same origin, for the browser.
  const rebound = `evil.example:${registry.port}`;
  for (const extra of [`Origin: http://${rebound}\r\n`, ""]) {
    const read = raw(
      t,
      registry.port,
      `GET /v1/mesh/services HTTP/1.1\r\nHost: ${rebound}\r\n${extra}\r\n`,
    );
    await until(() => read.reply() !== "", { what: "an answer" });
    assert.match(read.reply(), /^HTTP\/1\.1 403 /);
  }
  const own = await call(registry, "POST", "/v1/mesh/apply", {}, { origin: registry.url });
  assert.equal(own.status, 200);
  const upgrade = (path: string, extra: string) =>
    raw(
      t,
      registry.port,
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n${extra}\r\n`,
    );
  const refused = upgrade("/v1/mesh/watch", "Origin: http://evil.example\r\n");
  const nowhere = upgrade("/v1/other", "");
  await until(() => refused.reply() !== "" && nowhere.reply() !== "", { what: "answers" });
  assert.match(refused.reply(), /^HTTP\/1\.1 403 /);
  assert.match(nowhere.reply(), /^HTTP\/1\.1 404 /);
  await until(() => refused.socket.closed && nowhere.socket.closed, { what: "closed connections" });
});

test("names of Object's own properties are ordinary names", async (t) => {
  const registry = await testRegistry(t);
  for (const name of ["constructor", "toString", "hasOwnProperty", "valueOf"]) {
    assert.deepEqual((await call(registry, "GET", `/v1/health/service/${name}`)).body, []);
    const reply = await call(registry, "PUT", "/v1/agent/service/register", {
      Name: name,
      Port: 80,
    });
    assert.equal(reply.status, 200);
    const { body } = await call(registry, "GET", `/v1/health/service/${name}`);
    assert.equal(dig(body, "0.Service.ID"), name);
  }
  assert.deepEqual((await call(registry, "GET", "/v1/catalog/services")).body, {
    constructor: [],
    hasOwnProperty: [],
    toString: [],
    valueOf: [],
  });
});

test("a large list is sent in full to a client that reads slowly", async (t) => {
  const registry = await testRegistry(t);
  const endpoints = Array.from({ length: 4_000 }, (_, index) => ({
    id: `web-${index}`,
    service: "web",
    address: "10.0.0.1",
    port: 8080,
    meta: { filler: "x".repeat(300) },
  }));
  for (let start = 0; start < endpoints.length; start += 2_000) {
    await call(registry, "POST", "/v1/mesh/apply", {
      endpoints: endpoints.slice(start, start + 2_000),
    });
  }
  const { socket, reply } = raw(
    t,
    registry.port,
    "GET /v1/mesh/endpoints HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
  );
  socket.once("data", () => socket.pause());
  await until(() => reply() !== "", { what: "the first bytes" });
  await stillWorks(registry);
  socket.resume();
  await until(() => socket.closed, { what: "the end" });
  assert.equal(reply().match(/"id":"h1\/web-/g)?.length, 4_000);
});
