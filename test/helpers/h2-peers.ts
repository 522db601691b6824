import { once } from "node:events";
import { createServer as createHttp1 } from "node:http";
import {
  type ClientHttp2Session,
  connect,
  createServer as createHttp2,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
} from "node:http2";
import type { AddressInfo, Server } from "node:net";

/** The two versions' objects are alike where it is used. */
export type Answer = (request: Http2ServerRequest, response: Http2ServerResponse) => void;

/** A server of Node's own, of one version of HTTP. */
export interface Peer {
  readonly port: number;
  /** Sessions (HTTP/2) or connections that are open. */
  readonly open: Set<{ destroy(): void }>;
  readonly sessions: Set<ServerHttp2Session>;
  /** All that were ever opened. */
  opened(): number;
  close(): Promise<void>;
}

/** Answers requests of this version of HTTP, without TLS. */
export async function peer(version: 1 | 2, answer: Answer): Promise<Peer> {
  const server: Server = version === 1 ? createHttp1(answer as never) : createHttp2(answer);
  const open = new Set<{ destroy(): void }>();
  const sessions = new Set<ServerHttp2Session>();
  let opened = 0;
  server.on("connection", (socket) => {
    opened += 1;
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  server.on("session", (session: ServerHttp2Session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    session.on("error", () => undefined);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.close();
    for (const one of open) one.destroy();
  };
  return { port, open, sessions, opened: () => opened, close };
}

/** What a request got. */
export interface Got {
  readonly status: number;
  readonly headers: IncomingHttpHeaders & IncomingHttpStatusHeader;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders;
}

/** A client of Node's own that speaks HTTP/2 with prior knowledge. */
export class Http2Client {
  readonly session: ClientHttp2Session;

  /** `place`: a port of loopback, or an address with its port. */
  constructor(place: number | string, options: Parameters<typeof connect>[1] = {}) {
    const address = typeof place === "number" ? `127.0.0.1:${place}` : place;
    this.session = connect(`http://${address}`, options);
    this.session.on("error", () => undefined);
  }

  /** Sends a request and collects what comes; rejects where the stream is reset. */
  async ask(
    headers: OutgoingHttpHeaders,
    body: readonly (Buffer | string)[] = [],
    trailers?: OutgoingHttpHeaders,
  ): Promise<Got> {
    const hasBody = body.length > 0 || trailers !== undefined;
    const stream = this.session.request(headers, {
      endStream: !hasBody,
      waitForTrailers: trailers !== undefined,
    });
    if (trailers !== undefined) stream.on("wantTrailers", () => stream.sendTrailers(trailers));
    const head = Promise.withResolvers<Got["headers"]>();
    let last: IncomingHttpHeaders = {};
    const parts: Buffer[] = [];
    stream.on("response", (fields) => head.resolve(fields));
    stream.on("trailers", (fields) => {
      last = fields;
    });
    stream.on("data", (part: Buffer) => parts.push(part));
    const ended = new Promise<void>((resolve, reject) => {
      stream.on("end", resolve);
      stream.on("error", (error) => {
        head.reject(error);
        reject(error);
      });
      stream.on("close", () => {
        if (stream.rstCode !== 0) reject(new Error(`reset with code ${stream.rstCode}`));
      });
    });
    ended.catch(() => undefined);
    for (const part of body) {
      if (!stream.write(part)) await Promise.race([once(stream, "drain"), ended]);
    }
    if (hasBody) stream.end();
    const fields = await head.promise;
    await ended;
    return {
      status: Number(fields[":status"]),
      headers: fields,
      body: Buffer.concat(parts),
      trailers: last,
    };
  }

  close(): void {
    this.session.destroy();
  }
}
