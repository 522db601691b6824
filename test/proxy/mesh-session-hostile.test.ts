import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { afterEach, describe, type TestContext, test } from "node:test";
import {
  CLIENT_PREFACE,
  ENHANCE_YOUR_CALM,
  FLOW_CONTROL_ERROR,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  PROTOCOL_ERROR,
  REFUSED_STREAM,
} from "../../src/http/h2/codes.ts";
import { blackhole } from "../helpers/blackhole.ts";
import { frame } from "../helpers/h2-frames.ts";
import { closeLabs, data, FramePeer, headers, settings, word } from "../helpers/h2-lab.ts";
import { peer } from "../helpers/h2-peers.ts";
import { issue, rawClient } from "../helpers/mesh-lab.ts";
import { CALLER, type MeshHost, meshHost, tcpServer, WEB } from "../helpers/mesh-streams.ts";
import { service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

afterEach(closeLabs);

const GREETING = [Buffer.from(CLIENT_PREFACE, "latin1"), settings(), frame(FRAME_SETTINGS, 1, 0)];

interface Stage {
  readonly host: MeshHost;
  readonly web: number;
  readonly tcp: number;
  readonly seen: IncomingHttpHeaders[];
  /** A caller that sends what frames it likes. */
  caller(...first: readonly Buffer[]): Promise<FramePeer>;
}

async function stage(t: TestContext): Promise<Stage> {
  const seen: IncomingHttpHeaders[] = [];
  const server = await peer(1, (incoming, response) => {
    seen.push(incoming.headers);
    if (incoming.url !== "/hang") response.end("here");
  });
  t.after(() => server.close());
  const echo = await tcpServer(t, (socket) => void socket.pipe(socket));
  const host = await meshHost(t);
  host.lab.services(
    service("web", [host.endpoint(server.port)]),
    service("tcp", [host.endpoint(echo.port)], { protocol: "tcp" }),
  );
  const caller = async (...first: readonly Buffer[]) => {
    const shown = issue(host.authority, CALLER);
    const socket = await rawClient(host.port, shown, WEB, { ALPNProtocols: ["h2"] });
    if (socket instanceof Error) throw socket;
    const made = new FramePeer(socket);
    made.send(...(first.length === 0 ? GREETING : first));
    return made;
  };
  return { host, web: server.port, tcp: echo.port, seen, caller };
}

const GET = [":method", "GET", ":scheme", "http", ":authority", "web", ":path", "/"];

function target(port: number): string[] {
  return [
    ...["x-hostmesh-endpoint", `127.0.0.1:${port}`, "x-hostmesh-client", "10.0.0.9"],
    ...["x-hostmesh-protocol", "http/1.1"],
  ];
}

describe("a caller of another host that breaks the rules", () => {
  test("gets 400 for a request that does not say properly where it goes, and nothing else is hurt", async (t) => {
    const { caller, web, seen, host } = await stage(t);
    const [endpoint, client, protocol] = [0, 2, 4].map((at) => target(web).slice(at, at + 2));
    const whole = target(web);
    const bad: string[][] = [
      [],
      [...(endpoint ?? []), ...(client ?? [])],
      [...(client ?? []), ...(protocol ?? [])],
      [...whole, ...(endpoint ?? [])],
      [...whole, "a", "b", ...(client ?? [])],
      ["a", "b", ...whole],
      [...(client ?? []), ...(endpoint ?? []), ...(protocol ?? [])],
      ["x-hostmesh-endpoint", "web:80", ...whole.slice(2)],
      ["x-hostmesh-endpoint", `127.0.0.1:${web},127.0.0.1:${web}`, ...whole.slice(2)],
      [...whole.slice(0, 2), "x-hostmesh-client", "10.0.0.9, 10.0.0.8", ...whole.slice(4)],
      [...whole.slice(0, 2), "x-hostmesh-client", "localhost", ...whole.slice(4)],
      [...whole.slice(0, 4), "x-hostmesh-protocol", "tcp"],
    ];
    const one = await caller();
    for (const [at, fields] of bad.entries()) {
      const id = 1 + 4 * at;
      one.send(headers(id, [...GET, ...fields]), headers(id + 2, [...GET, ...whole]));
    }
    for (const at of bad.keys()) {
      const id = 1 + 4 * at;
      await one.until(new RegExp(`^headers ${id} :status=400 x-hostmesh-error=.* last$`));
      await one.until(new RegExp(`^headers ${id + 2} :status=200`));
    }
    assert.equal(seen.length, bad.length, "no bad one got through");
    await until(() => host.lab.facts.length === 2 * bad.length);
    const errors = host.lab.facts.filter(({ error }) => error === "BAD_REQUEST");
    assert.equal(errors.length, bad.length);
  });

  test("is reset where even HTTP/2 knows no such head", async (t) => {
    const { caller, web, seen } = await stage(t);
    const one = await caller();
    one.send(
      headers(1, [...GET, ...target(web), "X-Upper", "1"]),
      headers(3, [...GET, ...target(web), "connection", "close"]),
      headers(5, [...GET, ...target(web), "a", "b\r\nx-forwarded-client-cert: forged"]),
      headers(7, [...GET, ...target(web), ":path", "/again"]),
      headers(9, [":method", "CONNECT", ":authority", `127.0.0.1:${web}`, ":path", "/"]),
      headers(11, [...GET, ...target(web)]),
    );
    for (const id of [1, 3, 5, 7, 9])
      await one.until(new RegExp(`^reset ${id} ${PROTOCOL_ERROR}$`));
    await one.until(/^headers 11 :status=200/);
    assert.equal(seen.length, 1);
  });

  test("does not get its fields to the application by other spellings or places", async (t) => {
    const { caller, web, seen } = await stage(t);
    const forged = [
      "x_forwarded_client_cert",
      "URI=forged",
      "x-forwarded-client-cert",
      "URI=forged",
    ];
    const one = await caller();
    one.send(headers(1, [...GET, ...target(web), ...forged]));
    await one.until(/^headers 1 :status=200/);
    assert.doesNotMatch(JSON.stringify(seen), /forged|x-hostmesh/);
    assert.match(JSON.stringify(seen), new RegExp(CALLER));
  });

  test("gets 431 for a head that is too large", async (t) => {
    const { caller, web } = await stage(t);
    const one = await caller();
    const many = Array.from({ length: 220 }, (_, at) => [`f${at}`, "x"]).flat();
    one.send(headers(1, [...GET, ...target(web), ...many]), headers(3, [...GET, ...target(web)]));
    await one.until(/^headers 1 :status=431/);
    await one.until(/^headers 3 :status=200/);
  });

  test("may have so many streams, and more are refused, which others do not notice", async (t) => {
    const { caller, web, tcp } = await stage(t);
    const one = await caller();
    const hang = [...GET.slice(0, 6), ":path", "/hang", ...target(web)];
    const all = Array.from({ length: 1_001 }, (_, at) => headers(1 + 2 * at, hang));
    one.send(...all);
    await one.until(new RegExp(`^reset 2001 ${REFUSED_STREAM}$`));
    const other = await caller();
    other.send(headers(1, [":method", "CONNECT", ":authority", `127.0.0.1:${tcp}`], false));
    await other.until(/^headers 1 :status=200/);
    one.socket.destroy();
  });

  test("is cut off where it floods, and nobody else is", async (t) => {
    const { caller, web, host } = await stage(t);
    const pings = Buffer.concat(
      Array.from({ length: 20_000 }, () => frame(FRAME_PING, 0, 0, "12345678")),
    );
    const flooder = await caller();
    const other = await caller();
    other.send(headers(1, [...GET, ...target(web)]));
    flooder.send(pings);
    await flooder.until(new RegExp(`^goaway \\d+ ${ENHANCE_YOUR_CALM}`));
    await other.until(/^headers 1 :status=200/);
    other.send(headers(3, [...GET, ...target(web)]));
    await other.until(/^headers 3 :status=200/);
    await until(() => host.lab.plane.stats().connections === 1);
  });

  test("that resets what it asks for leaves nothing behind", async (t) => {
    const { caller, web, tcp, host } = await stage(t);
    const one = await caller();
    for (let at = 0; at < 500; at++) {
      const id = 1 + 4 * at;
      const fields = [":method", "CONNECT", ":authority", `127.0.0.1:${tcp}`];
      one.send(
        headers(id, [...GET.slice(0, 6), ":path", "/hang", ...target(web)]),
        headers(id + 2, fields, false),
        frame(FRAME_RST_STREAM, 0, id, word(8)),
        frame(FRAME_RST_STREAM, 0, id + 2, word(8)),
      );
    }
    one.send(headers(4_001, [...GET, ...target(web)]));
    await one.until(/^headers 4001 :status=200/);
    await until(() => host.lab.facts.length === 1_001);
    await until(() => host.lab.plane.stats().busyUpstream === 0);
  });

  test("and sends on before its tunnel stands is held to its window", async (t) => {
    const { caller, host, web } = await stage(t);
    const hole = await blackhole();
    t.after(() => hole.close());
    host.lab.services(
      service("web", [host.endpoint(web)]),
      service("hole", [host.endpoint(hole.port)], { protocol: "tcp" }),
    );
    const one = await caller();
    one.send(headers(1, [":method", "CONNECT", ":authority", `127.0.0.1:${hole.port}`], false));
    // A stream's window is 256 KiB.
    for (let count = 0; count < 16; count++) one.send(data(1, Buffer.alloc(16_384)));
    one.send(headers(3, [...GET, ...target(web)]));
    await one.until(/^headers 3 :status=200/);
    assert.ok(
      !one.lines.some((line) => /^(window|headers|reset) 1 /.test(line)),
      "nobody reads it",
    );
    one.send(data(1, "x"));
    await one.until(new RegExp(`^reset 1 ${FLOW_CONTROL_ERROR}$`));
    await until(() => host.lab.facts.some(({ error }) => error === "CLIENT_CLOSED"));
  });

  test("is understood byte by byte", async (t) => {
    const { caller, web, tcp } = await stage(t);
    const bytes = Buffer.concat([
      ...GREETING,
      headers(1, [...GET, ...target(web)]),
      headers(3, [":method", "CONNECT", ":authority", `127.0.0.1:${tcp}`], false),
      data(3, "abc", true),
    ]);
    const one = await caller(bytes.subarray(0, 1));
    for (const byte of bytes.subarray(1)) {
      one.send(Buffer.of(byte));
      await new Promise(setImmediate);
    }
    await one.until(/^headers 1 :status=200/);
    await one.until(/^headers 3 :status=200/);
    await until(() => one.bytesOf(3) === 3);
  });

  test("that speaks HTTP/1.1 behind the handshake is told off by HTTP/2", async (t) => {
    const { caller, host } = await stage(t);
    const one = await caller(
      Buffer.from("CONNECT 10.0.0.1:80 HTTP/1.1\r\nhost: a\r\n\r\n", "latin1"),
    );
    await one.until(new RegExp(`^goaway 0 ${PROTOCOL_ERROR}`));
    await until(() => host.lab.plane.stats().connections === 0);
  });
});
