import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect, createServer as listen, type Server } from "node:net";
import { test } from "node:test";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { requestHeadText, responseHeadText } from "../../../src/http/h1/serializer.ts";
import { latin1, parseRequest, parseResponse } from "../../helpers/heads.ts";

/** What node:http, an independent parser, makes of the bytes. */
interface Seen {
  readonly start: string;
  readonly fields: readonly string[];
  readonly body: string;
}

const portOf = (server: Server) => (server.address() as AddressInfo).port;

async function bodyOf(message: IncomingMessage): Promise<string> {
  let body = "";
  for await (const part of message) body += (part as Buffer).toString("latin1");
  return body;
}

async function asServer(bytes: string): Promise<Seen> {
  const server = createServer();
  const seen = new Promise<Seen>((resolve, reject) => {
    server.on("clientError", reject);
    server.on("request", (message, reply) => {
      bodyOf(message).then((body) => {
        reply.end();
        const start = `${message.method} ${message.url}`;
        resolve({ start, fields: message.rawHeaders, body });
      }, reject);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect(portOf(server), "127.0.0.1");
  try {
    socket.on("error", () => socket.destroy());
    socket.write(bytes, "latin1");
    return await seen;
  } finally {
    socket.destroy();
    server.closeAllConnections();
    server.close();
  }
}

async function asClient(bytes: string, method: string): Promise<Seen> {
  const server = listen((socket) => {
    socket.on("error", () => socket.destroy());
    socket.once("data", () => socket.end(bytes, "latin1"));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    const sending = request({ host: "127.0.0.1", port: portOf(server), method, agent: false });
    sending.end();
    const [message] = (await once(sending, "response")) as [IncomingMessage];
    const body = await bodyOf(message);
    const start = `${message.statusCode} ${message.statusMessage}`;
    return { start, fields: message.rawHeaders, body };
  } finally {
    server.close();
  }
}

/** Payload of a body by our own decoder, or the bytes as they are. */
function payloadOf(framing: string, body: string, side: "request" | "response"): string {
  if (framing !== "chunked") return body;
  let payload = "";
  const decoder = new ChunkedDecoder({ trailerBytes: 8_192, headerCount: 100 }, side);
  const bytes = latin1(body);
  decoder.feed(bytes, 0, bytes.length, (chunk, start, end) => {
    payload += chunk.toString("latin1", start, end);
  });
  assert.equal(decoder.done, true);
  return payload;
}

const CHUNKS = "5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nX-Sum: 1\r\n\r\n";

const REQUESTS: (readonly [what: string, head: string, body: string])[] = [
  ["a plain GET", "GET /a?b=c HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n", ""],
  ["odd spacing", "GET / HTTP/1.1\r\nHost:\t a\t\r\nX:y  z \r\nEmpty:\r\n\r\n", ""],
  ["repeated fields", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nCookie: c\r\n\r\n", ""],
  ["latin1 values", "GET / HTTP/1.1\r\nHost: a\r\nX: \xe9\xff\r\n\r\n", ""],
  ["odd characters in the target", 'GET /[{|}]^`"<>?%zz\\ HTTP/1.1\r\nHost: a\r\n\r\n', ""],
  ["a length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", "hello"],
  ["chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKS],
  ["HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n", ""],
  ["OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", ""],
];

for (const [what, head, body] of REQUESTS) {
  test(`reads a request with ${what} as node:http does, and forwards the same`, async () => {
    const ours = parseRequest([latin1(head + body)]);
    const theirs = await asServer(head + body);
    assert.equal(theirs.start, `${ours.method} ${ours.target}`);
    assert.deepEqual(theirs.fields, ours.fields);
    assert.equal(theirs.body, payloadOf(ours.framing, body, "request"));

    const options = { host: "", upgrade: false, close: false };
    const forwarded = await asServer(requestHeadText(ours, "x-added: 1\r\n", options) + body);
    assert.equal(forwarded.start, `${ours.method} ${ours.path}`);
    assert.equal(forwarded.body, theirs.body);
    const expected = pairs([...ours.fields, "x-added", "1"]);
    assert.deepEqual(pairs(forwarded.fields), expected);
  });
}

/** The fields as sorted lines, names in lower case: framing fields may move and be respelled. */
function pairs(fields: readonly string[]): string[] {
  const lines: string[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    lines.push(`${fields[at]?.toLowerCase()}: ${fields[at + 1]}`);
  }
  return lines.sort();
}

const RESPONSES: (readonly [what: string, head: string, body: string, method?: string])[] = [
  ["a length", "HTTP/1.1 200 OK\r\nServer: a\r\nContent-Length: 5\r\n\r\n", "hello"],
  ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKS],
  ["an end by closing", "HTTP/1.1 200 OK\r\nX:  y \r\n\r\n", "hello"],
  ["HTTP/1.0", "HTTP/1.0 404 Not Found\r\nX: \xe9\r\n\r\n", "hello"],
  ["no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", ""],
  ["status 204", "HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", ""],
  ["status 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", ""],
  ["an answer to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "", "HEAD"],
];

for (const [what, head, body, method = "GET"] of RESPONSES) {
  test(`reads a response with ${what} as node:http does, and forwards the same`, async () => {
    const ours = parseResponse([latin1(head + body)], method);
    const theirs = await asClient(head + body, method);
    assert.equal(theirs.start, `${ours.status} ${ours.reason}`);
    assert.deepEqual(theirs.fields, ours.fields);
    assert.equal(theirs.body, payloadOf(ours.framing, body, "response"));

    const { framing } = ours;
    const options = { keepAlive: framing !== "eof", minor: 1 as const, framing, upgrade: false };
    const forwarded = await asClient(responseHeadText(ours, "", options) + body, method);
    assert.equal(forwarded.start, theirs.start);
    assert.equal(forwarded.body, theirs.body);
    const closing = framing === "eof" ? ["Connection", "close"] : [];
    assert.deepEqual(pairs(forwarded.fields), pairs([...ours.fields, ...closing]));
  });
}
