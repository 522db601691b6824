import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { ISTIO_CONNECTION, SHAPES } from "../../src/telemetry/series.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { RawClient } from "../helpers/raw.ts";
import { until } from "../helpers/until.ts";

/** A captured TCP service, and what was counted of its connections over all label sets. */
async function lab(t: TestContext) {
  const server = createServer((socket) => socket.end("12345")).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const plane = await planeLab({
    destination: { of: () => ({ host: "10.99.0.1", port: 5_432 }) },
    istioCluster: "east",
  });
  t.after(() => plane.close());
  plane.services(service("db", [endpoint(port)], { addresses: ["10.99.0.1"], protocol: "tcp" }));
  const counted = (word: keyof typeof ISTIO_CONNECTION): number => {
    const { words, capacity } = plane.series.tables.istio_connections;
    let sum = 0;
    for (let slot = 0; slot < capacity; slot += 1) {
      sum += words[slot * SHAPES.istio_connections.words + ISTIO_CONNECTION[word]] ?? 0;
    }
    return sum;
  };
  return { server, plane, counted };
}

test("a captured TCP connection is opened once and closed once, with its bytes", async (t) => {
  const { plane, counted } = await lab(t);
  const client = await RawClient.open(plane.port);
  await until(() => counted("opened") === 1);
  client.send("abc");
  await client.until(/12345/);
  client.close();
  await until(() => counted("closed") === 1);
  assert.deepEqual([counted("opened"), counted("sent")], [1, 5]);
});

test("one whose endpoint refuses it is opened and closed all the same", async (t) => {
  const { server, plane, counted } = await lab(t);
  server.close();
  await once(server, "close");
  const client = await RawClient.open(plane.port);
  await until(() => counted("closed") === 1);
  assert.equal(counted("opened"), 1);
  client.close();
});
