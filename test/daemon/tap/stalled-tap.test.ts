import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import type { TapHub } from "../../../daemon/tap/tap-hub.ts";
import { tapRoute } from "../../../daemon/tap/tap-route.ts";
import type { TapItem } from "../../../src/sight/tap-event.ts";
import { until } from "../../helpers/until.ts";

type Lines = Parameters<TapHub["open"]>[2];

test("a client of a tap that takes nothing for too long is cut off, and its tap ends", async (t) => {
  let lines: Lines | null = null;
  let closed = 0;
  const open: TapHub["open"] = (_filter, _limits, to) => {
    lines = to;
    return () => {
      closed++;
    };
  };
  const reply = await tapRoute({ open }, {}, 50);
  assert.ok("start" in reply);
  const server = createServer((_, response) => {
    response.writeHead(200);
    reply.start(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  t.after(() => socket.destroy());
  socket.pause();
  socket.write("POST / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const item = { type: "skipped", host: "x".repeat(100_000), count: 1 } as unknown as TapItem;
  let dropped = 0;
  await until(() => {
    if (lines !== null && closed === 0 && !lines.onItems([item])) dropped++;
    return closed > 0;
  });
  // What waits is bounded before.
  assert.ok(dropped > 0);
  assert.equal(closed, 1);
});
