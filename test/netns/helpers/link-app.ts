/**
 * Unmodified applications that are called over a link between hosts. Argument: the name. HTTP/1.1 and WebSocket on 8080,
 * HTTP/2 without TLS and extended CONNECT on 8081, gRPC on 8082. On 7000 it says what it has read when the client has ended
 * its side, with as much content of its own; on 7001 it speaks and ends its side first, and says by a question what it has read since;
 * on 7002 it echoes.
 */
import { createServer as createHttp1 } from "node:http";
import {
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from "node:http2";
import { createServer, type Socket } from "node:net";
import { WebSocketServer } from "ws";
import { grpcServer } from "../../helpers/grpc-peers.ts";
import { answerLines } from "./answer-lines.ts";
import { content, sumOf } from "./content.ts";

interface Question {
  /** The next connection of HTTP/2 with so many more calls says GOAWAY. */
  readonly goAway?: GoAway;
  /** Forgets what calls have reached it. */
  readonly forget?: true;
}

interface GoAway {
  /** close: takes on all that has come; refuse: has not looked at the last ones. */
  readonly kind: "close" | "refuse";
  readonly at: number;
}

const [name = "app"] = process.argv.slice(2);
const DRIP = content(1_000, 9);
/** How often each call (`x-call`) has come to be served. */
let calls: Record<string, number> = {};
let goAways = 0;
let goAway: GoAway | null = null;
/** What those of 7001 have read. */
const uploads: string[] = [];

/** `/content/BYTES/SEED`, `/drip/COUNT/MS`, `/sum` of the request's content, else an echo. Both versions' objects do. */
function serve(request: Http2ServerRequest, response: Http2ServerResponse): void {
  const call = String(request.headers["x-call"] ?? "");
  if (call !== "") calls[call] = (calls[call] ?? 0) + 1;
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  response.setHeader("x-served-by", name);
  const [, kind, first = "", second = ""] = request.url.split("/");
  if (kind === "content") response.end(content(Number(first), Number(second)));
  else if (kind === "drip") drip(Number(first), Number(second), response);
  else if (kind === "sum") sum(request, response);
  else request.pipe(response);
}

function sum(request: Http2ServerRequest, response: Http2ServerResponse): void {
  const parts: Buffer[] = [];
  request.on("data", (part: Buffer) => parts.push(part));
  request.on("end", () => response.end(sumOf(...parts)));
}

interface Sink {
  write(bytes: Buffer): unknown;
  end(): unknown;
  on(event: "close", listener: () => void): unknown;
}

function drip(count: number, pauseMs: number, sink: Sink): void {
  let left = count;
  const timer = setInterval(() => {
    sink.write(DRIP);
    left -= 1;
    if (left > 0) return;
    clearInterval(timer);
    sink.end();
  }, pauseMs);
  sink.on("close", () => clearInterval(timer));
}

const web = createHttp1((request, response) => serve(request as never, response as never));
web.keepAliveTimeout = 60_000;
new WebSocketServer({ server: web }).on("connection", (socket) => {
  socket.on("error", () => undefined);
  socket.on("message", (message, isBinary) => socket.send(message, { binary: isBinary }));
});

interface Held {
  readonly id: number;
  readonly go: () => void;
}

/** So few that a retry budget has enough for them. */
const NOT_LOOKED_AT = 5;

/** A connection that says GOAWAY as it was told (RFC 9113 section 6.8). */
class Session {
  readonly #session: ServerHttp2Session;
  readonly #held: Held[] = [];
  #streams = 0;
  #isLeaving = false;

  constructor(session: ServerHttp2Session) {
    this.#session = session;
    session.on("error", () => undefined);
  }

  /** Calls `go` where the stream is to be served, once that is known. */
  take(id: number, go: () => void): void {
    if (this.#isLeaving) return;
    if (goAway === null) {
      for (const held of this.#held.splice(0)) held.go();
      go();
      return;
    }
    this.#streams += 1;
    if (goAway.kind === "close") go();
    else this.#held.push({ id, go });
    if (this.#streams === goAway.at) this.#leave(goAway.kind);
  }

  #leave(kind: GoAway["kind"]): void {
    this.#isLeaving = true;
    goAways += 1;
    goAway = null;
    if (kind === "close") {
      this.#session.close();
      return;
    }
    const taken = this.#held.slice(0, -NOT_LOOKED_AT);
    this.#session.goaway(0, taken.at(-1)?.id);
    for (const { go } of taken) go();
  }
}

const sessions = new WeakMap<ServerHttp2Session, Session>();
const h2 = createHttp2({ settings: { enableConnectProtocol: true } });
h2.on("session", (session) => sessions.set(session, new Session(session)));
h2.on("request", (request, response) => {
  const { stream } = request;
  stream.on("error", () => undefined);
  if (stream.session === undefined) return;
  sessions
    .get(stream.session as ServerHttp2Session)
    ?.take(stream.id ?? 0, () => serve(request, response));
});
// The compatible interface answers CONNECT by itself where nobody listens.
h2.on("connect", (_request, { stream }) => {
  stream.on("error", () => undefined);
  stream.respond({ ":status": 200 });
  stream.pipe(stream);
});

interface Expansion {
  readonly count: number;
  readonly bytes: number;
  readonly pauseMs: number;
}

await grpcServer(
  {
    unary: (call, done) => done(null, call.request),
    collect: (call, done) => {
      const parts: Buffer[] = [];
      call.on("data", (message: Buffer) => parts.push(message));
      call.on("error", () => undefined);
      call.on("end", () => done(null, Buffer.from(sumOf(...parts))));
    },
    expand: (call) => {
      const { count, bytes, pauseMs }: Expansion = JSON.parse(call.request.toString());
      call.on("error", () => undefined);
      let at = 0;
      const more = (): void => {
        if (call.cancelled) return;
        while (at < count) {
          const isTaken = call.write(content(bytes, at++));
          if (pauseMs > 0) return void setTimeout(more, pauseMs);
          if (!isTaken) return void call.once("drain", more);
        }
        call.end();
      };
      more();
    },
    chat: (call) => {
      call.on("data", (message: Buffer) => call.write(message));
      call.on("error", () => undefined);
      call.on("end", () => call.end());
    },
  },
  "[::]:8082",
);

function readAll(socket: Socket, done: (all: Buffer) => void): void {
  const parts: Buffer[] = [];
  socket.on("data", (part) => parts.push(part));
  socket.on("end", () => done(Buffer.concat(parts)));
}

function answerLast(socket: Socket): void {
  readAll(socket, (all) => {
    socket.write(sumOf(all));
    socket.end(content(all.length, 7));
  });
}

function speakFirst(socket: Socket): void {
  socket.end(content(30_000, 8));
  readAll(socket, (all) => uploads.push(sumOf(all)));
}

function opaque(port: number, serveSocket: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => socket.destroy());
    serveSocket(socket);
  });
  return new Promise((resolve) => server.listen(port, "::", resolve));
}

await new Promise<void>((resolve) => web.listen(8_080, "::", resolve));
await new Promise<void>((resolve) => h2.listen(8_081, "::", resolve));
await opaque(7_000, answerLast);
await opaque(7_001, speakFirst);
await opaque(7_002, (socket) => socket.pipe(socket));

answerLines((question: Question) => {
  if (question.goAway !== undefined) goAway = question.goAway;
  const seen = { calls, goAways, uploads: [...uploads] };
  if (question.forget === true) {
    calls = {};
    goAways = 0;
    uploads.length = 0;
  }
  return seen;
});
