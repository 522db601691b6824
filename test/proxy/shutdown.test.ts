import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { RawClient, type RawServer, rawServer } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

const REQUEST = "GET / HTTP/1.1\r\nHost: web\r\n\r\n";
const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

/** The upstream sends the head at once, and the body when it is released. */
async function setUp(): Promise<{ lab: PlaneLab; upstream: RawServer; client: RawClient }> {
  const upstream = await rawServer((socket) =>
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"),
  );
  const lab = await planeLab();
  lab.services(service("web", [endpoint(upstream.port)]));
  const client = await RawClient.open(lab.port);
  closers.push(
    () => upstream.close(),
    () => client.close(),
  );
  return { lab, upstream, client };
}

describe("a shutdown", () => {
  it("answers the request that was on its way, says that it was the last, and closes", async () => {
    const { lab, upstream, client } = await setUp();
    client.send(REQUEST);
    await client.until("\r\n\r\n");
    upstream.sockets[0]?.write("ok");
    await client.until(/ok$/);
    assert.doesNotMatch(client.received, /Connection: close/i);
    const drained = lab.plane.drain(5_000);
    client.received = "";
    client.send(REQUEST);
    await client.until("\r\n\r\n");
    assert.match(client.received, /^HTTP\/1\.1 200 OK\r\n/);
    assert.match(client.received, /Connection: close\r\n/i);
    for (const socket of upstream.sockets) if (!socket.destroyed) socket.write("ok");
    await client.untilEnd();
    assert.match(client.received, /ok$/);
    client.close();
    await drained;
  });

  it("gives a client whose answer had begun before a last request, too", async () => {
    const { lab, upstream, client } = await setUp();
    client.send(REQUEST);
    await client.until("\r\n\r\n");
    const drained = lab.plane.drain(5_000);
    upstream.sockets[0]?.write("ok");
    await client.until(/ok$/);
    assert.equal(client.ended, false, "its head had promised that the connection goes on");
    client.received = "";
    client.send(REQUEST);
    await client.until("\r\n\r\n");
    assert.match(client.received, /Connection: close\r\n/i);
    for (const socket of upstream.sockets) if (!socket.destroyed) socket.write("ok");
    await client.untilEnd();
    client.close();
    await drained;
  });

  it("closes a connection that stays idle, within a second", async () => {
    const { lab, client } = await setUp();
    await until(() => lab.plane.stats().connections === 1);
    const start = performance.now();
    const drained = lab.plane.drain(5_000);
    assert.equal(await client.untilEnd(), "");
    assert.ok(performance.now() - start < 1_000);
    client.close();
    await drained;
  });
});
