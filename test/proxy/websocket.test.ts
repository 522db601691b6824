import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { after, describe, it } from "node:test";
import { WebSocket } from "ws";
import type { ConfigInput } from "../../src/config/schema.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { webSocketClients, webSocketServer } from "../helpers/tunnels.ts";
import { until } from "../helpers/until.ts";

const closers: (() => Promise<void> | void)[] = [];
after(async () => {
  for (const close of closers.reverse()) await close();
});

type Version = 1 | 2;
const PAIRS: readonly [client: Version, server: Version][] = [
  [1, 1],
  [1, 2],
  [2, 1],
  [2, 2],
];

type Options = ConstructorParameters<typeof WebSocket>[2] & { readonly protocols?: string[] };

interface Setup {
  readonly lab: PlaneLab;
  readonly server: Awaited<ReturnType<typeof webSocketServer>>;
  /** Opens a WebSocket through the proxy. */
  open(path?: string, options?: Options): Promise<WebSocket>;
}

async function setUp(
  [clientVersion, serverVersion]: readonly [Version, Version],
  options: Parameters<typeof webSocketServer>[1] = {},
  config: ConfigInput = {},
): Promise<Setup> {
  const server = await webSocketServer(serverVersion, { maxPayload: 0, ...options });
  const lab = await planeLab({ config });
  const protocol = serverVersion === 1 ? "http" : "http2";
  lab.services(service("web", [endpoint(server.port)], { protocol }));
  const clients = clientVersion === 1 ? null : await webSocketClients(lab.port);
  closers.push(
    () => server.close(),
    () => lab.close(),
    () => clients?.close(),
  );
  const port = clients?.port ?? lab.port;
  const open: Setup["open"] = async (path = "/", { protocols = [], ...more } = {}) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols, {
      ...{ headers: { host: "web" }, perMessageDeflate: false, maxPayload: 0 },
      ...more,
    });
    socket.on("error", () => undefined);
    await once(socket, "open");
    return socket;
  };
  return { lab, server, open };
}

/** Sends back what comes. */
function echo({ server }: Setup["server"]): void {
  server.on("connection", (socket) => {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
}

/** The next messages, in order. */
function collect(socket: WebSocket): { readonly data: Buffer; readonly isBinary: boolean }[] {
  const got: { data: Buffer; isBinary: boolean }[] = [];
  socket.on("message", (data, isBinary) => got.push({ data: data as Buffer, isBinary }));
  return got;
}

for (const pair of PAIRS) {
  describe(`WebSockets of HTTP/${pair[0]} clients to servers of HTTP/${pair[1]}`, () => {
    it("carry text and binary messages both ways", async () => {
      const { server, open } = await setUp(pair);
      echo(server);
      const socket = await open("/chat?room=1");
      const got = collect(socket);
      socket.send("grüße, 世界");
      socket.send(Buffer.from([0, 255, 13, 10]));
      socket.send("");
      await until(() => got.length === 3);
      assert.deepEqual(
        got.map(({ data, isBinary }) => [data.toString("latin1"), isBinary]),
        [
          [Buffer.from("grüße, 世界").toString("latin1"), false],
          ["\x00\xff\r\n", true],
          ["", false],
        ],
      );
    });

    it("tell the endpoint of path, host and subprotocol, and the client of what was chosen", async () => {
      const { server, open } = await setUp(pair, {
        handleProtocols: (offered) => [...offered].at(-1) ?? false,
      });
      const seen = Promise.withResolvers<[url: string, host: string]>();
      server.server.on("connection", (_socket, { url = "", headers }) =>
        seen.resolve([url, headers.host ?? ""]),
      );
      const socket = await open("/x?y=1", { protocols: ["chat.v1", "chat.v2"] });
      assert.equal(socket.protocol, "chat.v2");
      assert.deepEqual(await seen.promise, ["/x?y=1", "web"]);
    });

    it("answer pings, and pass fragments and control frames between them", async () => {
      const { server, open } = await setUp(pair);
      echo(server);
      const pinged: string[] = [];
      server.server.on("connection", (peer) => {
        peer.on("ping", (data) => pinged.push(data.toString()));
      });
      const socket = await open();
      const got = collect(socket);
      const pongs: string[] = [];
      socket.on("pong", (data) => pongs.push(data.toString()));
      for (const part of ["a", "b", "c"]) {
        socket.send(part, { fin: part === "c" });
        socket.ping(`behind ${part}`);
      }
      await until(() => got.length === 1 && pongs.length === 3);
      assert.equal(got[0]?.data.toString(), "abc");
      assert.deepEqual(pinged, ["behind a", "behind b", "behind c"]);
      assert.deepEqual(pongs, pinged);
    });

    it("close with the code and reason that either end gives", async () => {
      const { server, open, lab } = await setUp(pair);
      server.server.on("connection", (peer) => {
        peer.on("message", (code) => peer.close(Number(code), "from the server"));
      });
      for (const code of [1000, 1001, 1008, 1011, 3000, 4999]) {
        const socket = await open();
        socket.send(String(code));
        const [gotCode, reason] = await once(socket, "close");
        assert.deepEqual([gotCode, String(reason)], [code, "from the server"]);
      }
      const [peer] = await Promise.all([once(server.server, "connection"), open()]).then(
        ([[one], socket]) => {
          socket.close(4000, "from the client");
          return [one as WebSocket];
        },
      );
      const [code, reason] = await once(peer as WebSocket, "close");
      assert.deepEqual([code, String(reason)], [4000, "from the client"]);
      await until(() => lab.plane.stats().busyUpstream === 0);
      await until(() => lab.facts.length === 7);
      for (const { status, error } of lab.facts) assert.deepEqual([status, error], [101, null]);
    });

    it("see a lost end as lost", async () => {
      const { server, open } = await setUp(pair);
      const peers: WebSocket[] = [];
      server.server.on("connection", (peer) => peers.push(peer));
      const first = await open();
      await until(() => peers.length === 1);
      peers[0]?.terminate();
      assert.equal((await once(first, "close"))[0], 1006);
      const second = await open();
      await until(() => peers.length === 2);
      const closed = once(peers[1] as WebSocket, "close");
      second.terminate();
      assert.equal((await closed)[0], 1006);
    });

    it("carry messages of 16 MiB, whole and in many pieces", async () => {
      const { server, open } = await setUp(pair);
      echo(server);
      const socket = await open();
      const got = collect(socket);
      const large = randomBytes(16 * 1_048_576);
      socket.send(large);
      await until(() => got.length === 1, { timeoutMs: 25_000 });
      assert.ok(got[0]?.data.equals(large));
      for (let at = 0; at < large.length; at += 65_536) {
        const end = at + 65_536;
        socket.send(large.subarray(at, end), { binary: true, fin: end >= large.length });
      }
      await until(() => got.length === 2, { timeoutMs: 25_000 });
      assert.ok(got[1]?.data.equals(large));
    });

    it("carry many small messages in order", async () => {
      const { server, open } = await setUp(pair);
      echo(server);
      const sockets = await Promise.all(Array.from({ length: 10 }, () => open()));
      const all = sockets.map(collect);
      for (let at = 0; at < 2_000; at++) for (const socket of sockets) socket.send(`n${at}`);
      await until(() => all.every((got) => got.length === 2_000));
      for (const got of all) {
        assert.ok(got.every(({ data }, at) => data.toString() === `n${at}`));
      }
    });

    it("leave compression to the ends", async () => {
      const perMessageDeflate = { threshold: 0 };
      const { server, open, lab } = await setUp(pair, { perMessageDeflate });
      echo(server);
      const socket = await open("/", { perMessageDeflate });
      assert.match(socket.extensions, /permessage-deflate/);
      const got = collect(socket);
      const text = "very alike ".repeat(20_000);
      socket.send(text);
      await until(() => got.length === 1);
      assert.equal(got[0]?.data.toString(), text);
      socket.close();
      await until(() => lab.facts.length === 1);
      const bytes = lab.facts[0]?.requestBytes ?? 0;
      assert.ok(bytes < text.length / 10, `${bytes} bytes for ${text.length}`);
    });
  });
}
