import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";
import { OK, webLab } from "../helpers/web-lab.ts";

const GET = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";

describe("a shutdown", () => {
  it("lets requests in flight end, says so to their clients, and closes idle connections", async () => {
    const web = await webLab((socket, received) => {
      if (received.includes("/begun"))
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
      else if (received.includes("/idle")) socket.write(OK);
    });
    const waiting = await web.send(GET);
    const begun = await web.send("GET /begun HTTP/1.1\r\nHost: web\r\n\r\n");
    await begun.until(/ab$/);
    const idle = await web.send("GET /idle HTTP/1.1\r\nHost: web\r\n\r\n");
    await idle.until(/ok$/);
    const silent = await web.open();
    await until(() => web.upstream.received.filter((one) => one.includes("\r\n\r\n")).length === 3);
    const startMs = performance.now();
    const drained = web.lab.plane.drain(10_000);
    assert.equal(await silent.untilEnd(), "");
    assert.match(await idle.untilEnd(), /\r\n\r\nok$/);
    await assert.rejects(RawClient.open(web.lab.port), /ECONNREFUSED/);
    for (const [index, text] of web.upstream.received.entries()) {
      if (text.startsWith("GET / ")) web.upstream.sockets[index]?.write(OK);
      else if (text.includes("/begun")) web.upstream.sockets[index]?.write("cd");
    }
    assert.match(await waiting.untilEnd(), /\r\nConnection: close\r\n[^]*\r\n\r\nok$/);
    assert.match(await begun.untilEnd(), /\r\n\r\nabcd$/);
    for (const client of [waiting, begun, idle, silent]) {
      assert.equal(client.error, null);
      client.close();
    }
    await drained;
    assert.ok(performance.now() - startMs < 5_000, "not only at the deadline");
    assert.ok(web.lab.facts.every((one) => one.status === 200 && one.error === null));
    assert.equal(web.lab.endpoints.inFlight(web.slot), 0);
    await until(() => web.lab.endpoints.connections(web.slot) === 0);
  });

  it("takes a request whose head has begun", async () => {
    const web = await webLab((socket, received) => {
      if (received.endsWith("\r\n\r\n")) socket.write(OK);
    });
    const client = await web.send("GET / HT");
    await until(() => web.lab.plane.stats().connections === 1);
    // One more exchange proves that the first bytes of this one have been read.
    const other = await web.send(GET);
    await other.until(/ok$/);
    const drained = web.lab.plane.drain(10_000);
    client.send("TP/1.1\r\nHost: web\r\n\r\n");
    assert.match(await client.untilEnd(), /\r\nConnection: close\r\n[^]*ok$/);
    client.close();
    other.close();
    await drained;
  });

  it("breaks what is left at its deadline: requests, waiters and tunnels", async () => {
    const web = await webLab(
      (socket, received) => {
        if (received.includes("Upgrade")) {
          socket.write("HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi");
        } else if (received.includes("/begun")) {
          socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        }
      },
      { config: { pool: { maxConnectionsPerEndpoint: 4 } } },
    );
    const upgraded = await web.send(
      "GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    );
    await upgraded.until(/hi$/);
    const connected = await web.send("CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n");
    await connected.until(/^HTTP\/1\.1 200 /);
    const begun = await web.send("GET /begun HTTP/1.1\r\nHost: web\r\n\r\n");
    await begun.until(/ab$/);
    const silent = await web.send(GET);
    await until(() => web.lab.endpoints.connections(web.slot) === 4);
    const waiting = await web.send(GET);
    await until(() => web.lab.plane.stats().pending === 1);
    const startMs = performance.now();
    await web.lab.plane.drain(300);
    const tookMs = performance.now() - startMs;
    assert.ok(tookMs >= 300 && tookMs < 1_000, `${tookMs} ms`);
    for (const client of [upgraded, connected, begun, silent, waiting]) await client.untilEnd();
    await until(() => web.lab.plane.stats().connections === 0);
    await until(() => web.lab.endpoints.inFlight(web.slot) === 0);
    await until(() => web.lab.endpoints.connections(web.slot) === 0);
    assert.equal(web.lab.facts.length, 5, "each is recorded once");
  });
});
