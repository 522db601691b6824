import assert from "node:assert/strict";
import type { IncomingHttpHeaders, ServerHttp2Stream, Settings } from "node:http2";
import { after, afterEach, describe, it } from "node:test";
import { processClock } from "../../../src/core/clock.ts";
import { Deadlines } from "../../../src/core/deadlines.ts";
import type { Conn } from "../../../src/http/conn.ts";
import { ChunkedDecoder } from "../../../src/http/h1/chunked.ts";
import { chunkOf } from "../../../src/http/h2/chunk-coding.ts";
import { ClientSession } from "../../../src/http/h2/client-session.ts";
import { KnownResponses } from "../../../src/http/h2/known-heads.ts";
import { DEFAULT_SESSION_LIMITS } from "../../../src/http/h2/settings.ts";
import { StreamUpstream, type StreamUpstreamOwner } from "../../../src/http/h2/stream-upstream.ts";
import { dialConn } from "../../../src/http/open-conn.ts";
import { byteByByte } from "../../helpers/chunks.ts";
import { ConnProbe, closePairs, connPair } from "../../helpers/conn-pair.ts";
import {
  closeEndpoints,
  frameEndpoint,
  http2Endpoint,
  type OnStream,
} from "../../helpers/h2-endpoints.ts";
import { frame } from "../../helpers/h2-frames.ts";
import { closeLabs, data, type FramePeer, headers, word } from "../../helpers/h2-lab.ts";
import { until, untilStill } from "../../helpers/until.ts";
import { sendGet, UpstreamProbe } from "../../helpers/upstream-probe.ts";

const LIMITS = { headBytes: 65_536, requestLineBytes: 8_192, headerCount: 100 };
const MEGABYTE = 1_048_576;
/** Far more than windows and socket buffers hold. */
const MUCH = 96 * MEGABYTE;

const deadlines = new Deadlines(processClock);
const opened: { close(): void }[] = [];
afterEach(() => {
  closePairs();
  closeLabs();
  closeEndpoints();
  for (const one of opened.splice(0)) one.close();
});
after(() => deadlines.close());

interface SessionLab extends StreamUpstreamOwner {
  upstream(): StreamUpstream;
  readonly conn: Conn;
  readonly counts: { sent: number; unused: number; answered: number; unanswered: number };
}

/** A session whose peer has sent its SETTINGS. */
async function sessionTo(port: number): Promise<SessionLab> {
  const probe = new ConnProbe();
  const address = { host: "127.0.0.1", port };
  const conn = await new Promise<Conn>((resolve) => {
    const dialled = dialConn(address, probe, () => resolve(dialled));
  });
  let isReady = false;
  const handler = {
    onAvailable: () => {
      isReady = true;
    },
    onGoingAway: () => undefined,
    onSessionEnd: () => undefined,
  };
  const deps = { limits: DEFAULT_SESSION_LIMITS, clock: processClock, deadlines };
  const session = new ClientSession(conn, handler, deps);
  opened.push({ close: () => conn.destroy() });
  await until(() => isReady, { what: "the peer's SETTINGS" });
  const counts = { sent: 0, unused: 0, answered: 0, unanswered: 0 };
  const owner: SessionLab = {
    ...{ session, conn, counts, peer: "peer:1", limits: LIMITS },
    knownResponses: new KnownResponses(),
    onSent: () => void counts.sent++,
    onUnused: () => void counts.unused++,
    onAnswered: () => void counts.answered++,
    onUnanswered: () => void counts.unanswered++,
    upstream: () => new StreamUpstream(owner, 1),
  };
  return owner;
}

/** What a node:http2 server does with each stream, and a session to it. */
async function lab(onStream: OnStream, ours: Settings = {}): Promise<SessionLab> {
  return sessionTo((await http2Endpoint(onStream, ours)).port);
}

/** A peer that speaks by frames, and a session to it. */
async function frameLab(): Promise<{ peer: FramePeer; session: SessionLab }> {
  const endpoint = await frameEndpoint();
  const session = await sessionTo(endpoint.port);
  return { peer: await endpoint.peer(), session };
}

function decoded(body: string): { text: string; trailers: string } {
  const decoder = new ChunkedDecoder({ trailerBytes: 4_096, headerCount: 20 }, "response");
  const bytes = Buffer.from(body, "latin1");
  let text = "";
  decoder.feed(bytes, 0, bytes.length, (chunk, start, end) => {
    text += chunk.toString("latin1", start, end);
  });
  assert.equal(decoder.done, true, "the coding is whole");
  return { text, trailers: decoder.trailers };
}

/** What a server reads, and its trailer `x-end`. */
async function bodyOf(stream: ServerHttp2Stream): Promise<{ text: string; end: string }> {
  let text = "";
  let end = "";
  stream.on("trailers", (fields) => {
    end = String(fields["x-end"]);
  });
  for await (const chunk of stream) text += chunk.toString("latin1");
  return { text, end };
}

const head = (method: string, lines: string) =>
  `${method} /x HTTP/1.1\r\nHost: web\r\n${lines}\r\n`;

describe("a request on a stream", () => {
  it("is answered with a length", async () => {
    const seen: IncomingHttpHeaders[] = [];
    const { upstream, counts } = await lab((stream, fields) => {
      seen.push(fields);
      stream.respond({ ":status": 200, "content-length": "2", "x-a": "b" });
      stream.end("ok");
    });
    const one = upstream();
    const probe = await sendGet(one, "/path?q", "X-Case: Value\r\n").over();
    assert.equal(probe.error, "");
    assert.deepEqual([probe.status, probe.head?.framing, probe.body], [200, "length", "ok"]);
    assert.match(probe.head?.passed ?? "", /x-a: b\r\n/);
    assert.equal(seen[0]?.[":path"], "/path?q");
    assert.equal(seen[0]?.[":authority"], "web");
    assert.equal(seen[0]?.["x-case"], "Value");
    one.close();
    assert.deepEqual(counts, { sent: 1, unused: 0, answered: 1, unanswered: 0 });
  });

  it("is answered without a length, which becomes the chunked coding", async () => {
    const { upstream } = await lab((stream) => {
      stream.respond({ ":status": 200 });
      stream.write("hel");
      setImmediate(() => stream.end("lo"));
    });
    const probe = await sendGet(upstream()).over();
    assert.equal(probe.head?.framing, "chunked");
    assert.deepEqual(decoded(probe.body), { text: "hello", trailers: "" });
  });

  it("is answered with trailers, less those that must not be there", async () => {
    const { upstream } = await lab((stream) => {
      stream.respond({ ":status": 200 }, { waitForTrailers: true });
      stream.on("wantTrailers", () =>
        stream.sendTrailers({ "grpc-status": "0", "content-type": "x/y" }),
      );
      stream.end("hello");
    });
    const probe = await sendGet(upstream(), "/", "Connection: te\r\nTE: trailers\r\n").over();
    assert.deepEqual(decoded(probe.body), { text: "hello", trailers: "grpc-status: 0\r\n" });
  });

  it("is answered by a head alone", async () => {
    const { upstream } = await lab((stream, fields) => {
      const status = fields[":path"] === "/none" ? 204 : 200;
      stream.respond({ ":status": status, "grpc-status": "5" }, { endStream: true });
    });
    const whole = await sendGet(upstream()).over();
    assert.deepEqual([whole.status, whole.head?.contentLength, whole.body], [200, 0, ""]);
    const none = await sendGet(upstream(), "/none").over();
    assert.deepEqual([none.status, none.head?.framing, none.complete], [204, "none", 1]);
  });

  it("that is HEAD has an answer without content, whatever length that names", async () => {
    const { upstream } = await lab((stream) => {
      stream.respond({ ":status": 200, "content-length": "5" }, { endStream: true });
    });
    const probe = new UpstreamProbe();
    upstream().send(probe, "HEAD", head("HEAD", ""), true);
    await probe.over();
    assert.deepEqual([probe.head?.framing, probe.head?.contentLength], ["none", 5]);
  });

  it("takes its content along, by its length or in chunks, with trailers", async () => {
    const got: { text: string; end: string }[] = [];
    const { upstream } = await lab(async (stream) => {
      got.push(await bodyOf(stream));
      stream.respond({ ":status": 204 }, { endStream: true });
    });
    for (const text of [
      `${head("POST", "Content-Length: 5\r\n")}hello`,
      `${head("POST", "Transfer-Encoding: chunked\r\n")}3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n`,
      `${head("POST", "Transfer-Encoding: chunked\r\n")}5\r\nhello\r\n0\r\nX-End: yes\r\n\r\n`,
    ]) {
      const probe = new UpstreamProbe();
      upstream().send(probe, "POST", text, true);
      await probe.over();
      assert.equal(probe.status, 204);
    }
    assert.deepEqual(
      got.map(({ text }) => text),
      ["hello", "hello", "hello"],
    );
    assert.equal(got[2]?.end, "yes");
  });

  it("ends with its last piece of content, and not with an empty frame behind it", async () => {
    const { peer, session } = await frameLab();
    const probe = new UpstreamProbe();
    const text = `${head("POST", "Transfer-Encoding: chunked\r\n")}2\r\nhi\r\n3\r\nyou\r\n0\r\n\r\n`;
    session.upstream().send(probe, "POST", text, true);
    await peer.until(/^data 1 3 last$/);
    assert.deepEqual(
      peer.lines.filter((line) => line.startsWith("data")),
      ["data 1 2", "data 1 3 last"],
    );
  });

  it("is sent on as it comes, byte by byte, in either framing", async () => {
    const got: string[] = [];
    const { upstream } = await lab(async (stream) => {
      const { text, end } = await bodyOf(stream);
      got.push(`${text} ${end}`);
      stream.respond({ ":status": 204 }, { endStream: true });
    });
    const pair = await connPair();
    for (const [lines, body] of [
      ["Content-Length: 5\r\n", "hello"],
      ["Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"],
      ["Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\nx-end: 1\r\n\r\n"],
    ] as const) {
      const one = upstream();
      const probe = new UpstreamProbe();
      one.send(probe, "POST", head("POST", lines), false);
      const pieces = byteByByte(Buffer.from(body));
      for (const [at, piece] of pieces.entries()) {
        one.sendBody(piece, 0, 1, at === pieces.length - 1, pair.conn);
      }
      await probe.over();
    }
    assert.deepEqual(got, ["hello ", "hello ", "hello 1"]);
  });

  it("hears of interim responses, and goes on behind 100 Continue", async () => {
    const { upstream } = await lab(async (stream, fields) => {
      assert.equal(fields["expect"], "100-continue");
      stream.additionalHeaders({ ":status": 100 });
      stream.additionalHeaders({ ":status": 103, link: "</a>" });
      const { text } = await bodyOf(stream);
      stream.respond({ ":status": 200 });
      stream.end(text);
    });
    const pair = await connPair();
    const one = upstream();
    const probe = new UpstreamProbe();
    const lines = "Content-Length: 2\r\nExpect: 100-continue\r\n";
    one.send(probe, "POST", head("POST", lines), false);
    await until(() => probe.interim.length === 2);
    assert.deepEqual(probe.interim, [100, 103]);
    one.sendBody(Buffer.from("hi"), 0, 2, true, pair.conn);
    await probe.over();
    assert.equal(decoded(probe.body).text, "hi");
  });
});

describe("a failure of a stream", () => {
  const FAILURES = [
    { code: 7, isAnswered: false, error: "UPSTREAM_REFUSED", name: "REFUSED_STREAM" },
    { code: 2, isAnswered: false, error: "UPSTREAM_RESET", name: "INTERNAL_ERROR" },
    { code: 0, isAnswered: false, error: "UPSTREAM_RESET", name: "NO_ERROR" },
    { code: 13, isAnswered: false, error: "UPSTREAM_RESET", name: "HTTP_1_1_REQUIRED" },
    { code: 8, isAnswered: true, error: "UPSTREAM_TRUNCATED", name: "CANCEL" },
    { code: 7, isAnswered: true, error: "UPSTREAM_TRUNCATED", name: "REFUSED_STREAM" },
  ];
  for (const { code, isAnswered, error, name } of FAILURES) {
    const when = isAnswered ? "behind a head" : "before a head";
    it(`by ${name} ${when} is ${error}, and says why`, async () => {
      const { peer, session } = await frameLab();
      const one = session.upstream();
      const probe = sendGet(one);
      await peer.until(/^headers 1 /);
      if (isAnswered) peer.send(headers(1, [":status", "200"], false), data(1, "part"));
      peer.send(frame(3, 0, 1, word(code)));
      await probe.over();
      assert.equal(probe.error, error);
      assert.match(probe.errors[0]?.message ?? "", new RegExp(`peer:1.*${name}`));
      one.giveUp();
      assert.equal(session.counts.unanswered, isAnswered ? 0 : 1);
      assert.equal(session.session.state, "open", "the others go on");
    });
  }

  it("by a response that is none is the endpoint's, and ends only that stream", async () => {
    const { peer, session } = await frameLab();
    const probe = sendGet(session.upstream());
    await peer.until(/^headers 1 /);
    peer.send(headers(1, [":status", "200", "Bad Name", "x"], false));
    await probe.over();
    assert.equal(probe.error, "UPSTREAM_PROTOCOL");
    const length = sendGet(session.upstream());
    await peer.until(/^headers 3 /);
    peer.send(headers(3, [":status", "200", "content-length", "3"], false), data(3, "four", true));
    await length.over();
    assert.equal(length.error, "UPSTREAM_PROTOCOL");
    assert.equal(session.session.state, "open");
  });

  it("that the receiver itself makes does not harm the other streams", async () => {
    const { upstream } = await lab((stream) => {
      stream.respond({ ":status": 200 });
      stream.end("hello");
    });
    const probe = new UpstreamProbe();
    probe.onPart = () => {
      throw new Error("a defect");
    };
    upstream().send(probe, "GET", head("GET", ""), true);
    const other = await sendGet(upstream()).over();
    assert.equal(probe.error, "INTERNAL");
    assert.equal(decoded(other.body).text, "hello");
  });

  it("by a GOAWAY that did not come to it is safe to repeat; those before it go on", async () => {
    const { peer, session } = await frameLab();
    const [first, second] = [sendGet(session.upstream()), sendGet(session.upstream())];
    await peer.until(/^headers 3 /);
    peer.send(frame(7, 0, 0, Buffer.concat([word(1), word(0)])));
    await second.over();
    assert.equal(second.error, "UPSTREAM_REFUSED");
    peer.send(headers(1, [":status", "204"]));
    await first.over();
    assert.equal(first.status, 204);
    const late = await sendGet(session.upstream()).over();
    assert.equal(late.error, "UPSTREAM_REFUSED", "the session takes no more");
  });

  it("by a GOAWAY that leaves nothing is safe to repeat as well", async () => {
    const { peer, session } = await frameLab();
    const probe = sendGet(session.upstream());
    await peer.until(/^headers 1 /);
    peer.send(frame(7, 0, 0, Buffer.concat([word(0), word(0)])));
    await probe.over();
    assert.equal(probe.error, "UPSTREAM_REFUSED");
  });

  it("by the loss of the connection is one for each stream", async () => {
    const { peer, session } = await frameLab();
    const [silent, begun] = [sendGet(session.upstream()), sendGet(session.upstream())];
    await peer.until(/^headers 3 /);
    peer.send(headers(3, [":status", "200"], false));
    await until(() => begun.status === 200);
    peer.socket.resetAndDestroy();
    await Promise.all([silent.over(), begun.over()]);
    assert.deepEqual([silent.error, begun.error], ["UPSTREAM_RESET", "UPSTREAM_TRUNCATED"]);
  });

  it("by an endpoint that breaks the protocol names what it did", async () => {
    const { peer, session } = await frameLab();
    const probe = sendGet(session.upstream());
    await peer.until(/^headers 1 /);
    peer.send(frame(5, 4, 1, word(2)));
    await probe.over();
    assert.equal(probe.error, "UPSTREAM_PROTOCOL");
    assert.match(probe.errors[0]?.message ?? "", /PROTOCOL_ERROR: PUSH_PROMISE/);
  });
});

describe("a response that ends before its request", () => {
  it("is whole, and a NO_ERROR behind it no failure (RFC 9113 section 8.1)", async () => {
    const { peer, session } = await frameLab();
    const probe = new UpstreamProbe();
    const one = session.upstream();
    one.send(probe, "POST", head("POST", "Content-Length: 100\r\n"), false);
    await peer.until(/^headers 1 /);
    peer.send(headers(1, [":status", "413", "content-length", "3"], false), data(1, "big", true));
    await probe.over();
    peer.send(frame(3, 0, 1, word(0)));
    peer.send(frame(6, 0, 0, Buffer.alloc(8)));
    await peer.until(/^ping/);
    assert.deepEqual([probe.body, probe.errors.length], ["big", 0]);
    one.close();
    assert.equal(session.session.openStreams, 0);
  });

  it("has the rest of the request cancelled when it is let go", async () => {
    const { peer, session } = await frameLab();
    const probe = new UpstreamProbe();
    const one = session.upstream();
    one.send(probe, "POST", head("POST", "Content-Length: 100\r\n"), false);
    await peer.until(/^headers 1 /);
    peer.send(headers(1, [":status", "413"]));
    await probe.over();
    one.close();
    await peer.until(/^reset 1 8$/);
  });

  it("of a request that was whole is let go without a word", async () => {
    const { peer, session } = await frameLab();
    const one = session.upstream();
    const probe = new UpstreamProbe();
    probe.onPart = (_chunk, _start, _end, last) => {
      if (last) one.close();
    };
    one.send(probe, "GET", head("GET", ""), true);
    await peer.until(/^headers 1 /);
    peer.send(headers(1, [":status", "200"], false), data(1, "ok", true));
    peer.send(frame(6, 0, 0, Buffer.alloc(8)));
    await peer.until(/^ping/);
    assert.equal(session.session.openStreams, 0);
    assert.deepEqual(
      peer.lines.filter((line) => line.startsWith("reset")),
      [],
    );
  });
});

describe("a tunnel", () => {
  const UPGRADE =
    "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

  it("for a WebSocket is an extended CONNECT, and the client's handshake is finished here", async () => {
    let asked: IncomingHttpHeaders = {};
    const { upstream } = await lab(
      (stream, fields) => {
        asked = fields;
        stream.respond({ ":status": 200, "sec-websocket-protocol": "chat" });
        stream.pipe(stream);
      },
      { enableConnectProtocol: true },
    );
    const one = upstream();
    const tunnel = new ConnProbe();
    const probe = new UpstreamProbe();
    probe.onHead = () => {
      one.detach();
      one.carrier.handler = tunnel;
    };
    one.send(probe, "GET", head("GET", UPGRADE), true);
    await until(() => probe.head !== null);
    assert.equal(asked[":method"], "CONNECT");
    assert.equal(asked[":protocol"], "websocket");
    assert.equal(asked["sec-websocket-key"], undefined);
    assert.equal(probe.status, 101);
    const passed = probe.head?.fields ?? [];
    const accept = passed[passed.findIndex((name) => /^sec-websocket-accept$/i.test(name)) + 1];
    assert.equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of RFC 6455");
    one.carrier.writeText("frames");
    await until(() => tunnel.text === "frames");
    one.carrier.end();
    await until(() => tunnel.fins === 1 && tunnel.closes === 1);
    assert.equal(tunnel.error, null);
  });

  it("that the endpoint refuses is an ordinary answer", async () => {
    const { upstream, session } = await lab(
      (stream) => {
        stream.respond({ ":status": 403 });
        stream.end("no");
      },
      { enableConnectProtocol: true },
    );
    const one = upstream();
    const probe = new UpstreamProbe();
    one.send(probe, "GET", head("GET", UPGRADE), true);
    await probe.over();
    assert.deepEqual([probe.status, decoded(probe.body).text], [403, "no"]);
    one.close();
    await until(() => session.openStreams === 0);
  });

  it("for a WebSocket is an error where the endpoint does not know them", async () => {
    const { upstream } = await lab(() => assert.fail("nothing may be sent"));
    const probe = new UpstreamProbe();
    upstream().send(probe, "GET", head("GET", UPGRADE), true);
    assert.equal(probe.errors.length, 0, "not within the call");
    await probe.over();
    assert.equal(probe.error, "UPSTREAM_PROTOCOL");
    assert.match(probe.errors[0]?.message ?? "", /SETTINGS_ENABLE_CONNECT_PROTOCOL/);
  });

  it("of CONNECT carries bytes both ways", async () => {
    const { upstream } = await lab((stream, fields) => {
      assert.equal(fields[":authority"], "other:443");
      stream.respond({ ":status": 200 });
      stream.pipe(stream);
    });
    const one = upstream();
    const tunnel = new ConnProbe();
    const probe = new UpstreamProbe();
    probe.onHead = () => {
      one.detach();
      one.carrier.handler = tunnel;
    };
    one.send(probe, "CONNECT", "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", true);
    await until(() => probe.status === 200);
    one.carrier.writeText("bytes");
    await until(() => tunnel.text === "bytes");
    one.carrier.destroy();
    await until(() => tunnel.closes === 1);
  });
});

describe("a large body", () => {
  it("of a response waits for its client, and takes little memory", async () => {
    let sent = 0;
    const { upstream, session } = await lab((stream, fields) => {
      if (fields[":path"] === "/small") {
        stream.respond({ ":status": 204 }, { endStream: true });
        return;
      }
      stream.respond({ ":status": 200 });
      const piece = Buffer.alloc(65_536, "x");
      const go = () => {
        while (sent < MUCH) {
          sent += piece.length;
          if (!stream.write(piece)) {
            stream.once("drain", go);
            return;
          }
        }
        stream.end();
      };
      go();
    });
    const client = await connPair();
    client.peer.pause();
    const one = upstream();
    const probe = new UpstreamProbe();
    const decoder = new ChunkedDecoder({ trailerBytes: 4_096, headerCount: 20 }, "response");
    probe.onPart = (chunk, start, end, last) => {
      decoder.feed(chunk, start, end);
      one.carrier.relay(chunk, start, end, client.conn);
      if (last) one.close();
    };
    one.send(probe, "GET", head("GET", ""), true);
    await untilStill(() => probe.bytes);
    assert.ok(sent < MUCH / 2, `the endpoint was held back after ${sent} bytes`);
    assert.ok(session.queuedBytes + client.conn.pendingBytes < 2 * MEGABYTE, "what is held here");
    assert.equal((await sendGet(upstream(), "/small").over()).status, 204, "others pass");
    client.peer.resume();
    await probe.over();
    assert.equal(decoder.payloadBytes, MUCH);
  });

  it("of a request waits for the endpoint, and takes little memory", async () => {
    let received = 0;
    let endpoint: ServerHttp2Stream | undefined;
    const { upstream, session } = await lab((stream, fields) => {
      if (fields[":path"] === "/small") {
        stream.respond({ ":status": 204 }, { endStream: true });
        return;
      }
      endpoint = stream;
    });
    const client = await connPair();
    const one = upstream();
    const probe = new UpstreamProbe();
    let relayed = 0;
    client.probe.take = (chunk, end) => {
      relayed += end;
      one.sendBody(chunk, 0, end, relayed === MUCH, client.conn);
    };
    one.send(probe, "POST", head("POST", `Content-Length: ${MUCH}\r\n`), false);
    const piece = Buffer.alloc(MEGABYTE, "x");
    for (let at = 0; at < MUCH; at += piece.length) client.peer.write(piece);
    await untilStill(() => relayed);
    assert.ok(relayed < 4 * MEGABYTE, `the client was held back after ${relayed} bytes`);
    assert.ok(session.queuedBytes < 2 * MEGABYTE);
    assert.equal((await sendGet(upstream(), "/small").over()).status, 204, "others pass");
    await until(() => endpoint !== undefined);
    endpoint?.on("data", (chunk: Buffer) => {
      received += chunk.length;
    });
    endpoint?.on("end", () => endpoint?.respond({ ":status": 204 }, { endStream: true }));
    await probe.over();
    assert.deepEqual([probe.status, received], [204, MUCH]);
  });
});

describe("the chunk coding", () => {
  it("is what a decoder reads, for every length of the size line", () => {
    for (const size of [0, 1, 9, 10, 15, 16, 255, 256, 4_095, 4_096, 16_384, 65_535, 65_536]) {
      for (const last of [true, false]) {
        const piece = Buffer.alloc(size + 2, "x");
        const { bytes, end } = chunkOf(piece, 1, size + 1, last);
        const expected = size === 0 ? "" : `${size.toString(16)}\r\n${"x".repeat(size)}\r\n`;
        const text = bytes.toString("latin1", 0, end);
        assert.equal(text, expected + (last ? "0\r\n\r\n" : ""), `${size} ${last}`);
      }
    }
  });
});
