import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { type Clock, processClock } from "../../src/core/clock.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { ConnHandler } from "../../src/http/carrier.ts";
import type { Conn } from "../../src/http/conn.ts";
import { ClientSession, type ClientSessionHandler } from "../../src/http/h2/client-session.ts";
import {
  CLIENT_PREFACE,
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FRAME_DATA,
  FRAME_HEADERS,
  FRAME_SETTINGS,
} from "../../src/http/h2/codes.ts";
import type { StreamError } from "../../src/http/h2/errors.ts";
import type { FrameHandler } from "../../src/http/h2/frame-handler.ts";
import { FrameReader } from "../../src/http/h2/frame-reader.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { ServerSession } from "../../src/http/h2/server-session.ts";
import { DEFAULT_SESSION_LIMITS, type SessionLimits } from "../../src/http/h2/settings.ts";
import type { Stream, StreamHandler } from "../../src/http/h2/stream.ts";
import { acceptConn, connOverTls, dialConn } from "../../src/http/open-conn.ts";
import {
  createAuthority,
  generateKeys,
  issueLeaf,
  privateKeyPem,
} from "../../src/identity/x509.ts";
import { frame } from "./h2-frames.ts";
import { until } from "./until.ts";

const NOBODY: ConnHandler = {
  onBytes: () => undefined,
  onFin: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
};

/** Holds the place of one that needs its stream first. */
export const NO_HANDLER: StreamHandler = {
  onHead: () => undefined,
  onInterim: () => undefined,
  onData: () => undefined,
  onTrailers: () => undefined,
  onReset: () => undefined,
  onWritable: () => undefined,
};

/** What a test server does with a request. Remembers what it was told, gives credit for all it reads. */
export class Exchange implements StreamHandler {
  readonly stream: Stream;
  head: string[] = [];
  interim: string[][] = [];
  body = "";
  bytes = 0;
  trailers: string[] = [];
  complete = false;
  resets: [code: number, byPeer: boolean][] = [];
  writable = 0;
  /** Gives back what was read at once. */
  consumes = true;
  onComplete: (exchange: Exchange) => void = () => undefined;

  constructor(stream: Stream) {
    this.stream = stream;
  }

  /** The value of a field of the head, or of a pseudo-field. */
  field(name: string): string {
    const at = this.head.indexOf(name);
    return at === -1 ? "" : (this.head[at + 1] ?? "");
  }

  onHead(fields: string[], last: boolean): void {
    this.head = fields;
    if (last) this.#end();
  }

  onInterim(fields: string[]): void {
    this.interim.push(fields);
  }

  onData(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.bytes += end - start;
    if (this.bytes < 100_000) this.body += chunk.toString("latin1", start, end);
    if (this.consumes) this.stream.consumed(end - start);
    if (last) this.#end();
  }

  onTrailers(fields: string[]): void {
    this.trailers = fields;
    this.#end();
  }

  #end(): void {
    this.complete = true;
    this.onComplete(this);
  }

  onReset(code: number, byPeer: boolean): void {
    this.resets.push([code, byPeer]);
  }

  onWritable(): void {
    this.writable += 1;
  }

  /** Sends a whole message. */
  answer(body: string, extra: readonly string[] = []): void {
    const bytes = Buffer.from(body, "latin1");
    this.stream.sendHead(
      [":status", "200", "content-length", `${bytes.length}`, ...extra],
      bytes.length === 0,
    );
    if (bytes.length > 0) this.stream.sendData(bytes, 0, bytes.length, true);
  }
}

/** Answers what is complete with 200 and `hello`. */
export function hello(exchange: Exchange): void {
  exchange.onComplete = () => exchange.answer("hello");
}

/** Sends the request's content and trailers back. */
export function echo(exchange: Exchange): void {
  exchange.onComplete = () => {
    const bytes = Buffer.from(exchange.body, "latin1");
    exchange.stream.sendHead([":status", "200", "x-method", exchange.field(":method")], false);
    exchange.stream.sendData(bytes, 0, bytes.length, exchange.trailers.length === 0);
    if (exchange.trailers.length > 0) exchange.stream.sendTrailers(exchange.trailers);
  };
}

export interface ServerLab {
  readonly port: number;
  readonly sessions: ServerSession[];
  readonly exchanges: Exchange[];
  readonly refused: [code: number, detail: string][];
  readonly ends: (Error | null)[];
  readonly deadlines: Deadlines;
  /** The first session, once it is there. */
  session(): Promise<ServerSession>;
  close(): void;
}

export interface LabOptions {
  readonly limits?: Partial<SessionLimits>;
  readonly clock?: Clock;
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly onExchange?: (exchange: Exchange) => void;
}

const open: { close(): void }[] = [];

/** For `afterEach`: a test that failed must not keep the process alive. */
export function closeLabs(): void {
  for (const lab of open.splice(0)) lab.close();
}

/** A server whose connections are `ServerSession`s, on a port of its own. */
export async function serverLab({
  limits = {},
  clock = processClock,
  tls,
  onExchange = hello,
}: LabOptions = {}): Promise<ServerLab> {
  const deadlines = new Deadlines(clock);
  const deps = { limits: { ...DEFAULT_SESSION_LIMITS, ...limits }, clock, deadlines };
  const sessions: ServerSession[] = [];
  const exchanges: Exchange[] = [];
  const refused: [number, string][] = [];
  const ends: (Error | null)[] = [];
  const serve = (conn: Conn) => {
    const session = new ServerSession(
      conn,
      {
        onStream: (stream) => {
          const exchange = new Exchange(stream);
          exchanges.push(exchange);
          onExchange(exchange);
          return exchange;
        },
        onRefused: (code, detail) => refused.push([code, detail]),
        onSessionEnd: (error) => ends.push(error),
      },
      deps,
    );
    sessions.push(session);
  };
  const options = { pauseOnConnect: tls === undefined, allowHalfOpen: true, noDelay: true };
  const server = createServer(options, (socket) => {
    if (tls === undefined) serve(acceptConn(socket, NOBODY));
    else secure(socket, tls, serve);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const lab = {
    port: (server.address() as AddressInfo).port,
    ...{ sessions, exchanges, refused, ends, deadlines },
    session: async () => {
      await until(() => sessions.length > 0, { what: "a session" });
      return sessions[0] as ServerSession;
    },
    close: () => {
      server.close();
      deadlines.close();
      for (const { conn } of sessions) conn.destroy();
    },
  };
  open.push(lab);
  return lab;
}

function secure(
  socket: Socket,
  { key, cert }: { key: string; cert: string },
  serve: (conn: Conn) => void,
): void {
  const secured = new TLSSocket(socket, { isServer: true, key, cert, ALPNProtocols: ["h2"] });
  socket.on("error", () => secured.destroy());
  secured.on("error", () => socket.destroy());
  secured.on("_tlsError", () => secured.destroy());
  secured.once("secure", () => serve(connOverTls(secured, socket, NOBODY)));
}

/** A certificate of `localhost` that nobody vouches for. */
export function testCertificate(): { readonly key: string; readonly cert: string } {
  const validity = {
    notBefore: new Date(Date.now() - 60_000),
    notAfter: new Date(Date.now() + 86_400_000),
  };
  const authority = createAuthority({ commonName: "test", ...validity });
  const { privateKey, publicKey } = generateKeys();
  const names = { dnsNames: ["localhost"] };
  const cert = issueLeaf(authority, { publicKey, names, commonName: "localhost", ...validity });
  return { key: privateKeyPem(privateKey), cert };
}

export interface ClientLab {
  readonly session: ClientSession;
  readonly told: string[];
  readonly deadlines: Deadlines;
  /** Sends a request; the content in one piece. Throws where none may be sent now. */
  request(fields: readonly string[], body?: string): Exchange;
  close(): void;
}

/** A `ClientSession` to a port of this host. */
export async function clientLab(
  port: number,
  { limits = {}, clock = processClock }: Pick<LabOptions, "limits" | "clock"> = {},
): Promise<ClientLab> {
  const deadlines = new Deadlines(clock);
  const deps = { limits: { ...DEFAULT_SESSION_LIMITS, ...limits }, clock, deadlines };
  const told: string[] = [];
  const owner: ClientSessionHandler = {
    onAvailable: () => told.push("available"),
    onGoingAway: () => told.push("going away"),
    onSessionEnd: (error) => told.push(`end ${error?.message ?? ""}`.trim()),
  };
  const conn = await new Promise<Conn>((resolve, reject) => {
    const handler = { ...NOBODY, onClose: (error: Error | null) => reject(error) };
    const dialled = dialConn({ host: "127.0.0.1", port }, handler, () => resolve(dialled));
  });
  const session = new ClientSession(conn, owner, deps);
  const lab = {
    ...{ session, told, deadlines },
    request: (fields: readonly string[], body = "") => {
      const stream = session.request(NO_HANDLER, fields, body === "");
      if (stream === null) throw new Error("no request now");
      const exchange = new Exchange(stream);
      stream.handler = exchange;
      const bytes = Buffer.from(body, "latin1");
      if (bytes.length > 0) stream.sendData(bytes, 0, bytes.length, true);
      return exchange;
    },
    close: () => {
      deadlines.close();
      conn.destroy();
    },
  };
  open.push(lab);
  return lab;
}

/** Fields of a GET, and what else a test wants. */
export function get(path = "/", ...more: string[]): string[] {
  return [":method", "GET", ":scheme", "http", ":path", path, ":authority", "a", ...more];
}

/** Fields of a POST. */
export function post(...more: string[]): string[] {
  return [":method", "POST", ":scheme", "http", ":path", "/", ":authority", "a", ...more];
}

/** A field block of literals that no table holds: what any decoder must read (RFC 7541 section 6.2.2). */
export function block(fields: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    parts.push(Buffer.of(0), text(fields[at]!), text(fields[at + 1]!));
  }
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const octets: number[] = [];
  let rest = value.length - 127;
  if (rest < 0) octets.push(value.length);
  else {
    octets.push(127);
    for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) + 128);
    octets.push(rest);
  }
  return Buffer.concat([Buffer.from(octets), Buffer.from(value, "latin1")]);
}

/** HEADERS in one frame. */
export function headers(id: number, fields: readonly string[], last = true): Buffer {
  const flags = FLAG_END_HEADERS | (last ? FLAG_END_STREAM : 0);
  return frame(FRAME_HEADERS, flags, id, block(fields));
}

export function data(id: number, payload: string | Buffer, last = false): Buffer {
  return frame(FRAME_DATA, last ? FLAG_END_STREAM : 0, id, payload);
}

export function settings(...entries: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(entries.length * 6);
  for (const [at, [id, value]] of entries.entries()) {
    payload.writeUInt16BE(id, at * 6);
    payload.writeUInt32BE(value, at * 6 + 2);
  }
  return frame(FRAME_SETTINGS, 0, 0, payload);
}

/** Four octets, as RST_STREAM and WINDOW_UPDATE have them. */
export function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** The other end of a connection, frame by frame: sends what a test says, and writes down what it receives. */
export class FramePeer implements FrameHandler {
  readonly socket: Socket;
  /** One line a frame, as `headers 1 :status=200 last`, `data 1 5 last`, `reset 1 8`, `goaway 0 1`. */
  readonly lines: string[] = [];
  received = 0;
  isClosed = false;
  readonly #reader: FrameReader;
  readonly #decoder = new HpackDecoder({ tableBytes: 4_096, listBytes: 1_000_000, fields: 1_000 });

  /** `preface`: what comes before the first frame. */
  constructor(socket: Socket, preface = "") {
    this.socket = socket;
    let skip = preface.length;
    this.#reader = new FrameReader(this, {
      frameBytes: 16_384,
      blockBytes: 1_000_000,
      continuations: 100,
    });
    socket.on("data", (chunk) => {
      const start = Math.min(skip, chunk.length);
      skip -= start;
      this.#reader.read(chunk, start, chunk.length);
    });
    socket.on("error", () => undefined);
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.isClosed = true;
      });
    }
    open.push({ close: () => socket.destroy() });
  }

  /** Connects, and sends what is given behind the preface. */
  static async open(port: number, ...first: readonly Buffer[]): Promise<FramePeer> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const peer = new FramePeer(socket);
    await once(socket, "connect");
    peer.send(Buffer.from(CLIENT_PREFACE, "latin1"), ...first);
    return peer;
  }

  /** With SETTINGS, and an acknowledgement of those that it gets. */
  static async greet(port: number, ...first: readonly Buffer[]): Promise<FramePeer> {
    return FramePeer.open(port, settings(), frame(FRAME_SETTINGS, 1, 0), ...first);
  }

  send(...frames: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(frames));
  }

  /** Waits for a line. */
  async until(pattern: RegExp): Promise<string> {
    const find = () => this.lines.find((line) => pattern.test(line));
    await until(() => find() !== undefined || this.isClosed, { what: `${pattern}` });
    const found = find();
    if (found === undefined) throw new Error(`closed without ${pattern}: ${this.lines.join("; ")}`);
    return found;
  }

  async untilClosed(): Promise<void> {
    await until(() => this.isClosed, { what: "the end of the connection" });
  }

  /** Bytes of DATA that a stream has got. */
  bytesOf(id: number): number {
    let bytes = 0;
    for (const line of this.lines) {
      const [kind, stream, size] = line.split(" ");
      if (kind === "data" && stream === `${id}`) bytes += Number(size);
    }
    return bytes;
  }

  onData(id: number, _chunk: Buffer, start: number, end: number, _flow: number, last: boolean) {
    this.received += end - start;
    this.lines.push(`data ${id} ${end - start}${last ? " last" : ""}`);
  }

  onHeaders(id: number, bytes: Buffer, start: number, end: number, last: boolean): void {
    const fields = this.#decoder.decode(bytes, start, end);
    const pairs: string[] = [];
    for (let at = 0; at < fields.length; at += 2) pairs.push(`${fields[at]}=${fields[at + 1]}`);
    this.lines.push(`headers ${id} ${pairs.join(" ")}${last ? " last" : ""}`);
  }

  onPriority(id: number): void {
    this.lines.push(`priority ${id}`);
  }

  onReset(id: number, code: number): void {
    this.lines.push(`reset ${id} ${code}`);
  }

  onSettings(ids: readonly number[], values: readonly number[]): void {
    this.lines.push(`settings ${ids.map((id, at) => `${id}=${values[at]}`).join(" ")}`);
  }

  onSettingsAck(): void {
    this.lines.push("settings ack");
  }

  onPing(isAck: boolean, chunk: Buffer, start: number): void {
    const bytes = chunk.toString("latin1", start, start + 8);
    this.lines.push(`ping ${isAck ? "ack " : ""}${bytes}`);
  }

  onGoaway(last: number, code: number, debug: string): void {
    this.lines.push(`goaway ${last} ${code} ${debug}`.trim());
  }

  onWindowUpdate(id: number, increment: number): void {
    this.lines.push(`window ${id} ${increment}`);
  }

  onPushPromise(id: number): void {
    this.lines.push(`push ${id}`);
  }

  onUnknown(type: number): void {
    this.lines.push(`unknown ${type}`);
  }

  onStreamError(error: StreamError): void {
    this.lines.push(`error ${error.message}`);
  }
}
