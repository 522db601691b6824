import assert from "node:assert/strict";
import { once } from "node:events";
import type { Duplex } from "node:stream";
import { after, describe, it } from "node:test";
import { seeded } from "../../src/core/random.ts";
import { endpoint, planeLab, service } from "../helpers/plane.ts";
import { openTunnel, type ServerTunnel, tunnelServer } from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";
import { FRAME_CASES, websocketFrame } from "../helpers/websocket-frames.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

const random = seeded(7);

/** How the bytes of a case may come. */
const SPLITS: readonly [name: string, size: (left: number) => number, most: number][] = [
  ["at once", (left) => left, Number.POSITIVE_INFINITY],
  ["octet by octet", () => 1, 300],
  ["at any place", (left) => 1 + Math.floor(random() * Math.min(left, 20_000)), 2_000_000],
];

async function tunnelled(client: 1 | 2, server: 1 | 2): Promise<{ near: Duplex; far: Duplex }> {
  const asked = Promise.withResolvers<ServerTunnel>();
  const target = await tunnelServer(server, asked.resolve);
  const lab = await planeLab();
  const protocol = server === 1 ? "http" : "http2";
  lab.services(service("web", [endpoint(target.port)], { protocol }));
  const opening = openTunnel(client, lab.port);
  const far = (await asked.promise).accept();
  const { duplex, close } = await opening;
  closers.push(
    () => lab.close(),
    close,
    () => target.close(),
  );
  return { near: duplex as Duplex, far };
}

/** Collects what comes; `take` waits for so many bytes. */
function reader(stream: Duplex): { take(bytes: number): Promise<Buffer> } {
  let parts: Buffer[] = [];
  let size = 0;
  stream.on("data", (chunk: Buffer) => {
    parts.push(chunk);
    size += chunk.length;
  });
  return {
    async take(bytes) {
      await until(() => size >= bytes, { what: `${bytes} bytes` });
      const got = Buffer.concat(parts);
      parts = [];
      size = 0;
      return got;
    },
  };
}

async function send(stream: Duplex, bytes: Buffer, sizeOf: (left: number) => number) {
  let at = 0;
  while (at < bytes.length) {
    const end = Math.min(bytes.length, at + sizeOf(bytes.length - at));
    const isFree = stream.write(bytes.subarray(at, end));
    // Each piece in a turn of its own, so that it is one on the wire.
    await (isFree ? new Promise(setImmediate) : once(stream, "drain"));
    at = end;
  }
}

for (const [client, server] of [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
] as const) {
  describe(`frames of WebSocket from HTTP/${client} to HTTP/${server}`, () => {
    for (const [name, sizeOf, most] of SPLITS) {
      it(`come out as they went in, right or wrong, both ways: ${name}`, async () => {
        const { near, far } = await tunnelled(client, server);
        const ways = [
          { from: near, to: reader(far), isMasked: true },
          { from: far, to: reader(near), isMasked: false },
        ];
        for (const { name: title, frames } of FRAME_CASES) {
          for (const { from, to, isMasked } of ways) {
            const bytes = Buffer.concat(frames.map((frame) => websocketFrame(frame, isMasked)));
            if (bytes.length > most) continue;
            await send(from, bytes, sizeOf);
            const got = await to.take(bytes.length);
            assert.ok(got.equals(bytes), title);
          }
        }
      });
    }
  });
}
