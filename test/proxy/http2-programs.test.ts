import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer as createHttp1 } from "node:http";
import { connect, constants, createServer as createHttp2 } from "node:http2";
import type { AddressInfo, Server, Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import {
  type Ask,
  curlClient,
  type H2Client,
  nghttpClient,
  nodeClient,
  sha256,
} from "../helpers/h2-clients.ts";
import type { Answer } from "../helpers/h2-peers.ts";
import { haproxy, missing, nginx } from "../helpers/h2-programs.ts";
import { endpoint, type PlaneLab, planeLab, service } from "../helpers/plane.ts";
import { until } from "../helpers/until.ts";

const CONTENT = randomBytes(300_000);
/** More than a frame holds, so that CONTINUATION follows it. */
const LARGE_FIELD = "h".repeat(30_000);
const NO_FIELD = "-";

/** Requests for `/hang` that have come, and that were given up. */
const hanging = { begun: 0, ended: 0 };

/**
 * `/BYTES`: so much content, and in `x-summary` what was seen of the request; `/break/BYTES`: breaks off behind them; `/hang`:
 * waits until the client gives up.
 */
const serve: Answer = (request, response) => {
  const parts: Buffer[] = [];
  const [, what = "", bytes = "0"] = request.url.split("/");
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  if (what === "hang") {
    hanging.begun += 1;
    response.on("close", () => {
      hanging.ended += 1;
    });
    return;
  }
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => {
    const body = Buffer.concat(parts);
    const { method, headers, trailers } = request;
    const asked = String(headers["x-large"] ?? NO_FIELD).length;
    const sent = String(trailers["x-sent"] ?? NO_FIELD);
    response.setHeader(
      "x-summary",
      JSON.stringify([method, body.length, sha256(body), asked, sent]),
    );
    if (headers["x-large"] !== undefined) response.setHeader("x-large", LARGE_FIELD);
    if (what === "break") {
      response.setHeader("content-length", 2 * Number(bytes));
      response.write(CONTENT.subarray(0, Number(bytes)), () => breakOff(response));
      return;
    }
    // Else Node would say a length, and nothing may come behind content of known length in HTTP/1.1.
    response.write("");
    response.addTrailers({ "x-check": sha256(body) });
    response.end(method === "HEAD" ? "" : CONTENT.subarray(0, Number(what)));
  });
};

type Response = Parameters<Answer>[1];

/** By RST_STREAM, or by the end of a connection of HTTP/1.1. */
function breakOff(response: Response): void {
  if (response.stream === undefined) (response.socket as unknown as Socket).destroy();
  else response.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
}

const closers: (() => unknown)[] = [];

async function listening(server: Server): Promise<number> {
  const open = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    open.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => open.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closers.push(() => {
    server.close();
    for (const socket of open) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

type ServerName = "node" | "node-tiny" | "haproxy" | "nginx";
const SERVERS: readonly ServerName[] = ["node", "node-tiny", "haproxy", "nginx"];

/** Node's own server, and another one that pads all frames and opens windows of 100 bytes; those of others. */
async function startServers(): Promise<Record<ServerName, number>> {
  const limits = { maxHeaderSize: 131_072 };
  const backend = await listening(createHttp1(limits, serve as never));
  const tiny = {
    paddingStrategy: constants.PADDING_STRATEGY_MAX,
    settings: { initialWindowSize: 100 },
  };
  const ports = await Promise.all([
    ...[listening(createHttp2(serve)), listening(createHttp2(tiny, serve))],
    ...[haproxy, nginx].map(async (start) => {
      const { port, close } = await start(backend);
      closers.push(close);
      return port;
    }),
  ]);
  return Object.fromEntries(SERVERS.map((name, at) => [name, ports[at]])) as never;
}

interface Row {
  readonly what: string;
  readonly ask: Omit<Ask, "authority">;
  readonly clients?: readonly string[];
  readonly servers?: readonly ServerName[];
}

const CLIENTS: Readonly<Record<string, H2Client>> = {
  "node:http2": nodeClient,
  curl: curlClient,
  nghttp: nghttpClient,
};
const ABLE = ["node:http2", "nghttp"];

/** What clients say that cannot do more is left out of theirs; nginx knows no trailers of requests, and sends no 100 over HTTP/2. */
const ROWS: readonly Row[] = [
  { what: "GET", ask: { path: "/1000" } },
  { what: "GET without content", ask: { path: "/0" } },
  { what: "HEAD", ask: { path: "/1000", method: "HEAD" } },
  { what: "POST", ask: { path: "/10", method: "POST", body: CONTENT.subarray(0, 40_000) } },
  { what: "large heads both ways", ask: { path: "/10", headers: { "x-large": LARGE_FIELD } } },
  { what: "much content both ways", ask: { path: "/300000", method: "POST", body: CONTENT } },
  {
    what: "trailers both ways",
    ask: { path: "/10", method: "POST", body: Buffer.from("abc"), trailers: { "x-sent": "42" } },
    clients: ABLE,
    servers: ["node", "node-tiny", "haproxy"],
  },
  {
    what: "100-continue",
    ask: { path: "/10", method: "POST", body: CONTENT.subarray(0, 5_000), expects: true },
    clients: ABLE,
    servers: ["node", "node-tiny", "haproxy"],
  },
  {
    what: "padding",
    ask: { path: "/2000", method: "POST", body: CONTENT.subarray(0, 5_000), pads: true },
    clients: ABLE,
  },
  {
    what: "tiny windows",
    ask: { path: "/50000", method: "POST", body: CONTENT.subarray(0, 500), windowBytes: 127 },
    clients: ABLE,
  },
];

describe("HTTP/2 with the programs of others", {
  skip: missing("curl", "nghttp", "nginx", "haproxy"),
}, () => {
  let lab: PlaneLab;

  before(async () => {
    lab = await planeLab();
    closers.push(() => lab.close());
    const ports = await startServers();
    const services = SERVERS.map((name) =>
      service(name, [endpoint(ports[name])], { protocol: "http2" }),
    );
    lab.services(...services);
  });
  after(async () => {
    for (const close of closers.reverse()) await close();
  });

  for (const { what, ask, clients = Object.keys(CLIENTS), servers = SERVERS } of ROWS) {
    for (const client of clients) {
      test(`${what}: ${client} to ${servers.join(", ")}`, async () => {
        await Promise.all(
          servers.map(async (server) => {
            const seen = await CLIENTS[client]!(lab.port, { ...ask, authority: server });
            const { method = "GET", body = Buffer.alloc(0), path, headers = {} } = ask;
            const wanted =
              method === "HEAD" ? Buffer.alloc(0) : CONTENT.subarray(0, Number(path.slice(1)));
            assert.equal(seen.statuses.at(-1), 200, server);
            const asked = (headers["x-large"] ?? NO_FIELD).length;
            const sent = ask.trailers?.["x-sent"] ?? NO_FIELD;
            const summary = [method, body.length, sha256(body), asked, sent];
            assert.deepEqual(JSON.parse(seen.fields["x-summary"] ?? "null"), summary, server);
            assert.equal(seen.bodyBytes, wanted.length, server);
            assert.equal(seen.bodySum, sha256(wanted), server);
            if (headers["x-large"] !== undefined) assert.equal(seen.fields["x-large"], LARGE_FIELD);
            if (ask.expects === true) assert.deepEqual(seen.statuses, [100, 200], server);
            if (method === "HEAD") return;
            const check = server === "nginx" ? "nginx" : sha256(body);
            assert.equal(seen.fields["x-check"], check, `trailers of ${server}`);
          }),
        );
      });
    }
  }

  for (const server of SERVERS) {
    for (const [client, ask] of Object.entries(CLIENTS)) {
      test(`a stream that ${server} breaks off does not look whole to ${client}`, async () => {
        await assert.rejects(ask(lab.port, { path: "/break/1000", authority: server }));
      });
    }

    test(`a stream that its client gives up is given up at ${server}`, async () => {
      const session = connect(`http://127.0.0.1:${lab.port}`);
      session.on("error", () => undefined);
      const { begun, ended } = hanging;
      const stream = session.request({ ":path": "/hang", ":authority": server });
      stream.on("error", () => undefined);
      await until(() => hanging.begun > begun, { what: "the request at the server" });
      stream.close(constants.NGHTTP2_CANCEL);
      await until(() => hanging.ended > ended, { what: "the end at the server" });
      session.destroy();
    });
  }
});
