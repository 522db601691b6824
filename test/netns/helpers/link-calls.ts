import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, type IncomingMessage, request } from "node:http";
import type { ClientHttp2Stream, OutgoingHttpHeaders } from "node:http2";
import { connect, type Socket } from "node:net";
import { status as grpcStatus } from "@grpc/grpc-js";
import { WebSocket } from "ws";
import { ended, GrpcClient, type Outcome, sendAll } from "../../helpers/grpc-peers.ts";
import { Http2Client } from "../../helpers/h2-peers.ts";
import { content, sumOf } from "./content.ts";

/** Where the applications of `link-app.ts` are called: addresses with ports. */
export interface Places {
  readonly h2: string;
  readonly web: string;
  readonly grpc: string;
  readonly last: string;
  readonly first: string;
  readonly echo: string;
}

/** Clients of all kinds. What a call gets that is not what it should, it fails with; it names the server that answered. */
export class LinkCalls {
  readonly places: Places;
  readonly agent = new Agent({ keepAlive: true, maxSockets: 12 });
  readonly grpc: GrpcClient;
  #h2: Http2Client;

  constructor(places: Places) {
    this.places = places;
    this.grpc = new GrpcClient(places.grpc, "link");
    this.#h2 = new Http2Client(places.h2);
  }

  close(): void {
    this.#h2.close();
    this.grpc.close();
    this.agent.destroy();
  }

  get h2(): Http2Client {
    const { session } = this.#h2;
    if (session.closed || session.destroyed) this.#h2 = new Http2Client(this.places.h2);
    return this.#h2;
  }

  async h2Ask(path: string, body: readonly Buffer[] = [], more: OutgoingHttpHeaders = {}) {
    const method = body.length === 0 ? "GET" : "POST";
    const got = await this.h2.ask({ ":path": path, ":method": method, ...more }, body);
    const { "x-hostmesh-error": code = "", "x-served-by": server = "" } = got.headers;
    assert.equal(got.status, 200, `h2 ${path}: ${got.status} ${String(code)}`);
    return { body: got.body, server: String(server) };
  }

  async h1Ask(path: string, body?: Buffer): Promise<{ body: Buffer; server: string }> {
    const response = await this.h1Begin(path, body);
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part);
    assert.ok(response.complete, `h1 ${path}: cut off`);
    return {
      body: Buffer.concat(parts),
      server: String(response.headers["x-served-by"]),
    };
  }

  /** Up to the head of the response, which has status 200. */
  h1Begin(path: string, body?: Buffer): Promise<IncomingMessage> {
    const method = body === undefined ? "GET" : "POST";
    return new Promise((resolve, reject) => {
      const sending = request(`http://${this.places.web}${path}`, { method, agent: this.agent });
      sending.on("error", reject);
      sending.on("response", (response) => {
        const { statusCode, headers } = response;
        if (statusCode === 200) resolve(response);
        else reject(new Error(`h1 ${path}: ${statusCode} ${headers["x-hostmesh-error"]}`));
        if (statusCode !== 200) response.resume();
      });
      sending.end(body);
    });
  }

  async download(version: 1 | 2, bytes: number, seed: number): Promise<string> {
    const path = `/content/${bytes}/${seed}`;
    const { body, server } = await (version === 1 ? this.h1Ask(path) : this.h2Ask(path));
    same([body], [content(bytes, seed)], path);
    return server;
  }

  async upload(version: 1 | 2, bytes: number, seed: number): Promise<string> {
    const sent = content(bytes, seed);
    const got = await (version === 1 ? this.h1Ask("/sum", sent) : this.h2Ask("/sum", [sent]));
    assert.equal(got.body.toString(), sumOf(sent), `upload over version ${version}`);
    return got.server;
  }

  async echo(version: 1 | 2, bytes: number, seed: number, call = ""): Promise<string> {
    const sent = content(bytes, seed);
    const { body, server } = await (version === 1
      ? this.h1Ask("/", sent)
      : this.h2Ask("/", [sent], call === "" ? {} : { "x-call": call }));
    same([body], [sent], `echo over version ${version}`);
    return server;
  }

  async unary(bytes: number, seed: number): Promise<void> {
    const sent = content(bytes, seed);
    const { messages } = wentWell("unary", await this.grpc.unary(sent));
    same(messages, [sent], "unary");
  }

  async expand(count: number, bytes: number, pauseMs = 0): Promise<void> {
    const wish = Buffer.from(JSON.stringify({ count, bytes, pauseMs }));
    const { messages } = wentWell("expand", await this.grpc.expand(wish));
    const wanted = Array.from({ length: count }, (_, at) => content(bytes, at));
    same(messages, wanted, "expand");
  }

  async collect(count: number, bytes: number): Promise<void> {
    const sent = Array.from({ length: count }, (_, at) => content(bytes, at));
    const { messages } = wentWell("collect", await this.grpc.collect(sent));
    assert.equal(String(messages[0]), sumOf(...sent), "collect");
  }

  /** So many messages both ways at once. */
  async chat(count: number, bytes: number): Promise<void> {
    const sent = Array.from({ length: count }, (_, at) => content(bytes, at));
    const call = this.grpc.chat();
    const outcome = ended(call);
    sendAll(call, sent);
    same(wentWell("chat", await outcome).messages, sent, "chat");
  }

  /** A WebSocket over HTTP/1.1: each message is sent when the one before has come back. */
  async webSocket(count: number, bytes: number): Promise<void> {
    const socket = await this.openWebSocket();
    try {
      for (let at = 0; at < count; at++) {
        const sent = content(bytes + at, at);
        socket.send(sent);
        same([await nextMessage(socket)], [sent], "WebSocket");
      }
      socket.close(1_000);
      const [code] = await once(socket, "close");
      assert.equal(code, 1_000, "end of the WebSocket");
    } finally {
      socket.terminate();
    }
  }

  async openWebSocket(): Promise<WebSocket> {
    const socket = new WebSocket(`ws://${this.places.web}/`);
    await once(socket, "open");
    return socket;
  }

  /** Bytes through an extended CONNECT (RFC 8441), with a half-close behind them. */
  async tunnel(bytes: number, seed: number): Promise<void> {
    const sent = content(bytes, seed);
    const stream = await this.openTunnel();
    const parts: Buffer[] = [];
    stream.end(sent);
    for await (const part of stream) parts.push(part);
    same(parts, [sent], "extended CONNECT");
  }

  async openTunnel(): Promise<ClientHttp2Stream> {
    const { session } = this.h2;
    if (!session.remoteSettings.enableConnectProtocol) await once(session, "remoteSettings");
    const stream = session.request(
      {
        ...{ ":method": "CONNECT", ":protocol": "websocket", ":scheme": "http", ":path": "/" },
        "sec-websocket-version": "13",
      },
      { endStream: false },
    );
    const [fields] = await once(stream, "response");
    assert.equal(fields[":status"], 200, "status of the extended CONNECT");
    return stream;
  }

  /** The server answers when this side has ended. */
  async opaque(bytes: number, seed: number): Promise<void> {
    const sent = content(bytes, seed);
    const socket = dial(this.places.last);
    socket.end(sent);
    const got = await readAll(socket);
    assert.equal(got.toString("latin1", 0, 64), sumOf(sent), "bytes at the server");
    same([got.subarray(64)], [content(bytes, 7)], "bytes of the server");
  }

  /** The server ends its side before this one begins; it says elsewhere what came. */
  async opaqueFirst(bytes: number, seed: number): Promise<string> {
    const sent = content(bytes, seed);
    const socket = dial(this.places.first);
    same([await readAll(socket)], [content(30_000, 8)], "bytes of the server that ends first");
    const closed = once(socket, "close");
    socket.end(sent);
    await closed;
    return sumOf(sent);
  }
}

/** A connection of which either side may end alone. */
export function dial(place: string): Socket {
  const [host = "", port = ""] = place.split(":");
  return connect({ host, port: Number(port), allowHalfOpen: true, noDelay: true });
}

async function readAll(socket: Socket): Promise<Buffer> {
  const parts: Buffer[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  socket.on("data", (part) => parts.push(part));
  socket.on("end", resolve);
  socket.on("error", reject);
  socket.on("close", () => reject(new Error("a connection was closed without an end")));
  await promise;
  return Buffer.concat(parts);
}

async function nextMessage(socket: WebSocket): Promise<Buffer> {
  const [message] = await Promise.race([
    once(socket, "message"),
    once(socket, "close").then(() => {
      throw new Error("the WebSocket was closed");
    }),
  ]);
  return message as Buffer;
}

function wentWell(kind: string, outcome: Outcome): Outcome {
  const { code, details } = outcome;
  if (code !== grpcStatus.OK) throw new Error(`${kind}: status ${code}, ${details}`);
  return outcome;
}

/** Neither is in the message: they are long. */
function same(got: readonly Buffer[], wanted: readonly Buffer[], what: string): void {
  const [gotBytes, wantedBytes] = [Buffer.concat(got), Buffer.concat(wanted)];
  if (gotBytes.equals(wantedBytes)) return;
  const at = gotBytes.findIndex((byte, index) => byte !== wantedBytes[index]);
  throw new Error(
    `${what}: ${gotBytes.length} bytes for ${wantedBytes.length}, other ones from ${at} on`,
  );
}
