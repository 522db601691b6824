import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { ConfigInput } from "../../src/config/schema.ts";
import type { PolicyTarget } from "../../src/core/policy.ts";
import { endpoint, type PlaneLab, planeLab, service, workload } from "../helpers/plane.ts";
import { RawClient, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

/** Requests that try to get to an application as bytes, with an identity header of the caller's making. */
const WEB = "spiffe://cluster.local/ns/default/sa/web";
const CALLER = "spiffe://cluster.local/ns/default/sa/caller";
const FIELDS =
  "Host: web\r\nX-Forwarded-Client-Cert: URI=forged\r\nx_forwarded_client_cert: URI=forged\r\n\r\n";
const PEEK_MS = 10;
const XFCC = `By=${WEB};URI=${CALLER}`;

const target: PolicyTarget = {
  ...{ key: "default/web", namespace: "default", serviceAccount: "web" },
  ...{ labels: {}, services: ["web"], identity: WEB },
};

interface Lab extends PlaneLab {
  readonly seen: IncomingHttpHeaders[];
  readonly port: number;
  readonly appPort: number;
  open(): Promise<RawClient>;
}

interface Options {
  readonly explicit?: boolean;
  readonly unregistered?: boolean;
  readonly config?: ConfigInput;
}

/** Node's own server behind a data plane; clients are a workload that has an identity. */
async function lab(t: TestContext, options: Options = {}): Promise<Lab> {
  const seen: IncomingHttpHeaders[] = [];
  const app = createServer((incoming, response) => {
    seen.push(incoming.headers);
    response.end("ok");
  }).listen(0, "127.0.0.1");
  await once(app, "listening");
  t.after(() => void app.close());
  t.after(() => void app.closeAllConnections());
  const { port: appPort } = app.address() as AddressInfo;
  const caller = { ...workload(0, "caller", "127.0.0.7"), identity: CALLER };
  const web = { ...workload(1, "web", "127.0.0.1"), identity: WEB };
  const plane = await planeLab({
    config: { detection: { peekMs: PEEK_MS }, ...options.config },
    ...(options.explicit
      ? {}
      : { destination: { of: () => ({ host: "127.0.0.1", port: appPort }) } }),
    workloads: [caller, web],
    ownAddresses: ["127.0.0.9"],
  });
  t.after(() => plane.close());
  const local = endpoint(appPort, { identity: WEB, target });
  if (!options.unregistered) plane.services(service("web", [local], { addresses: ["10.99.0.1"] }));
  const open = async () => {
    const client = await RawClient.open(plane.port, "127.0.0.1", "127.0.0.7");
    t.after(() => client.close());
    return client;
  };
  return { ...plane, seen, appPort, open };
}

function assertNothingForged(seen: readonly IncomingHttpHeaders[], what: string): void {
  for (const headers of seen) {
    assert.notEqual(headers["x-forwarded-client-cert"], "URI=forged", what);
    assert.equal(headers["x_forwarded_client_cert"], undefined, what);
  }
}

describe("identity headers of a caller", () => {
  test("do not get through in a request line that comes in parts", async (t) => {
    const mesh = await lab(t);
    const line = "GET / HTTP/1.1\r\n";
    for (const at of [1, 3, 4, 5, 8, 13, 14, 15]) {
      const client = await mesh.open();
      client.send(line.slice(0, at));
      await pause(PEEK_MS * 5);
      client.send(line.slice(at) + FIELDS);
      await client.until(/ok$/);
      assert.equal(mesh.seen.at(-1)?.["x-forwarded-client-cert"], XFCC, `split at ${at}`);
    }
  });

  test("do not get through because somebody else has sent bytes before", async (t) => {
    const mesh = await lab(t);
    const garbage = await mesh.open();
    garbage.send("\0\0\0\0");
    await garbage.untilEnd();
    const client = await mesh.open();
    client.send(`GET / HTTP/1.1\r\n${FIELDS}`);
    await client.until(/ok$/);
    assert.equal(mesh.seen.at(-1)?.["x-forwarded-client-cert"], XFCC);
  });

  test("do not get through because the application gave an idle connection up", async (t) => {
    let idle = true;
    const app = await rawServer(
      (socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
      (socket) => {
        if (idle) socket.end("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
        idle = false;
      },
    );
    t.after(() => app.close());
    const mesh = await planeLab({
      destination: { of: () => ({ host: "10.99.0.1", port: 80 }) },
    });
    t.after(() => mesh.close());
    mesh.services(service("web", [endpoint(app.port)], { addresses: ["10.99.0.1"] }));
    const silent = await RawClient.open(mesh.port);
    assert.equal(await silent.untilEnd(), "");
    const client = await RawClient.open(mesh.port);
    t.after(() => client.close());
    client.send(`GET / HTTP/1.1\r\n${FIELDS}`);
    await client.until(/ok$/);
    assert.doesNotMatch(app.received.join(""), /forged/);
  });

  test("do not get through in lines that only lenient servers take for a request's", async (t) => {
    const mesh = await lab(t);
    const lines = [
      "GET /\r\n",
      "GET /\n",
      "GET  /\r\n",
      "GET http://web/\r\n",
      "GET / HTTP/1.1\n",
      "GET  /  HTTP/1.1\r\n",
      "\n\nGET /  HTTP/1.1\r\n",
      " GET / HTTP/1.1\r\n",
      "GET\t/\tHTTP/1.1\r\n",
      "GET / http/1.1\r\n",
      "GET / HTTP/1.1 \r\n",
      "GET / HTTP/2.0\r\n",
      "GET / HTTP/1.7\r\n",
      "GET /a b HTTP/1.1\r\n",
      "GET / RTSP/1.0\r\n",
      "SOURCE / ICE/1.0\r\n",
      `${"A".repeat(40)} / HTTP/1.1\r\n`,
      `GET /${"a".repeat(9_000)} HTTP/1.1\r\n`,
      `${"\r\n".repeat(5_000)}GET / HTTP/1.1\r\n`,
    ];
    for (const line of lines) {
      const client = await mesh.open();
      client.send(line + FIELDS);
      client.socket.end();
      await client.untilEnd();
      assertNothingForged(mesh.seen, JSON.stringify(line.slice(0, 40)));
      const slow = await mesh.open();
      slow.send(line.slice(0, 3));
      await new Promise(setImmediate);
      slow.send(line.slice(3) + FIELDS);
      slow.socket.end();
      await slow.untilEnd();
      assertNothingForged(mesh.seen, `in two parts: ${JSON.stringify(line.slice(0, 40))}`);
    }
  });

  test("do not get through at a port of a local workload that nobody has registered", async (t) => {
    const mesh = await lab(t, { unregistered: true });
    const client = await mesh.open();
    client.send(`GET / HTTP/1.1\r\n${FIELDS}`);
    await client.until(/ok$/);
    assert.equal(mesh.seen.at(-1)?.["x-forwarded-client-cert"], XFCC);
    assert.equal(mesh.facts.at(-1)?.entry, "passthrough");
    const bytes = await mesh.open();
    bytes.send("\0\r\n\r\n");
    await bytes.until(/400 Bad Request/);
  });

  for (const way of ["name", "address", "unregistered port"] as const) {
    test(`do not get through a tunnel by CONNECT, to a ${way}`, async (t) => {
      const mesh = await lab(t, { explicit: true, unregistered: way === "unregistered port" });
      const authority = way === "name" ? "web:80" : `127.0.0.1:${mesh.appPort}`;
      for (const together of [true, false]) {
        const client = await mesh.open();
        const connecting = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`;
        const request = `GET / HTTP/1.1\r\n${FIELDS}`;
        client.send(together ? connecting + request : connecting);
        await client.until("200 Connection established");
        if (!together) client.send(request);
        await client.until(/ok$/);
        assert.equal(mesh.seen.at(-1)?.["x-forwarded-client-cert"], XFCC);
        client.send(request);
        await client.until(/ok[^]*ok$/);
        client.close();
      }
      assert.equal(mesh.seen.length, 4);
      assertNothingForged(mesh.seen, way);
      await until(() => mesh.plane.stats().connections === 0);
      await until(() => mesh.facts.length === 6);
    });
  }
});

describe("half a request line", () => {
  test("is answered when its time is over, and reaches nobody", async (t) => {
    const mesh = await lab(t, { config: { timeouts: { headMs: 100 }, detection: { peekMs: 10 } } });
    const client = await mesh.open();
    client.send("GET / HTT");
    assert.match(await client.untilEnd(), /^HTTP\/1\.1 408 [^]*X-Hostmesh-Error: HEAD_TIMEOUT/);
    assert.equal(mesh.facts.at(-1)?.error, "HEAD_TIMEOUT");
    await until(() => mesh.plane.stats().connections === 0);
  });

  for (const explicit of [false, true]) {
    const way = explicit ? "by CONNECT" : "captured";
    test(`a single word passes after a peek, and no request behind it, ${way}`, async (t) => {
      const config = { detection: { peekMs: 10 } };
      const seen: string[] = [];
      const server = await rawServer((socket, received) => {
        seen.push(received);
        socket.write(`<${received}>`);
      });
      t.after(() => server.close());
      const place = { host: "10.99.0.1", port: 80 };
      const captured = explicit ? {} : { destination: { of: () => place } };
      const mesh = await planeLab({ config, ...captured });
      t.after(() => mesh.close());
      mesh.services(service("word", [endpoint(server.port)], { addresses: ["10.99.0.1"] }));
      const open = async () => {
        const client = await RawClient.open(mesh.port);
        t.after(() => client.close());
        if (!explicit) return client;
        client.send("CONNECT word:80 HTTP/1.1\r\nHost: word:80\r\n\r\n");
        await client.until("established\r\n");
        return client;
      };
      const good = await open();
      good.send("ruok");
      await good.until("<ruok>");
      good.send("-again\nand more");
      await good.until("<ruok-again\nand more>");
      const bad = await open();
      bad.send("BREW");
      await bad.until("<BREW>");
      bad.send(" / HTTP/1.1\r\nX-Forwarded-Client-Cert: By=me\r\n\r\n");
      await bad.untilEnd();
      assert.ok(!seen.join().includes("By=me"), "what followed reached nobody");
    });
  }

  test("in a tunnel by CONNECT ends it", async (t) => {
    const mesh = await lab(t, { explicit: true, config: { timeouts: { headMs: 100 } } });
    const client = await mesh.open();
    client.send("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\nGET / HTT");
    assert.match(await client.untilEnd(), /established\r\n[^]*\r\n\r\n$/);
    await until(() => mesh.plane.stats().connections === 0);
    assert.equal(mesh.seen.length, 0);
  });

  test("that the client ends, or that turns out to be something else, passes at once", async (t) => {
    const echo = await rawServer((socket, received) => socket.write(`<${received}>`));
    t.after(() => echo.close());
    const mesh = await planeLab({ destination: { of: () => ({ host: "10.99.0.1", port: 80 }) } });
    t.after(() => mesh.close());
    mesh.services(service("echo", [endpoint(echo.port)], { addresses: ["10.99.0.1"] }));
    const ended = await RawClient.open(mesh.port);
    t.after(() => ended.close());
    ended.send("ruok");
    ended.socket.end();
    await ended.until("<ruok>");
    const other = await RawClient.open(mesh.port);
    t.after(() => other.close());
    other.send("SET");
    await pause(20);
    other.send(" a b\r\n");
    await other.until("<SET a b\r\n>");
    assert.equal(echo.received.at(-1), "SET a b\r\n");
  });
});
