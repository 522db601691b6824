import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  FLAG_END_HEADERS,
  FLAG_END_STREAM,
  FLAG_PADDED,
  FRAME_CONTINUATION,
  FRAME_DATA,
  FRAME_GOAWAY,
  FRAME_HEADERS,
  FRAME_PING,
  FRAME_PRIORITY,
  FRAME_PUSH_PROMISE,
  FRAME_RST_STREAM,
  FRAME_WINDOW_UPDATE,
} from "../../src/http/h2/codes.ts";
import { frame } from "../helpers/h2-frames.ts";
import { block, data, get, headers, post, settings, word } from "../helpers/h2-lab.ts";
import { indexed, literal, sizeUpdate } from "../http/h2/hpack/blocks.ts";

/**
 * Writes the inputs that are made by hand: examples of the RFCs, and the attacks that the tests name. `capture-*` beside
 * them are recorded by record-captures.ts. Run it after a change here: `node test/fuzz/make-corpus.ts`.
 */
type Inputs = Readonly<Record<string, Buffer | string>>;

const CORPUS = join(import.meta.dirname, "corpus");
const WHOLE = FLAG_END_HEADERS | FLAG_END_STREAM;

function repeated(count: number, make: (at: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));
}

const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
const reset = (id: number) => frame(FRAME_RST_STREAM, 0, id, word(8));
const widen = (id: number, by: number) => frame(FRAME_WINDOW_UPDATE, 0, id, word(by));
const ping = (flags = 0) => frame(FRAME_PING, flags, 0, "12345678");
const priority = (id: number, on: number) =>
  frame(FRAME_PRIORITY, 0, id, Buffer.concat([word(on), Buffer.of(15)]));
const padded = (type: number, flags: number, id: number, padding: number, content: Buffer) =>
  frame(
    type,
    FLAG_PADDED | flags,
    id,
    Buffer.concat([Buffer.of(padding), content, Buffer.alloc(padding)]),
  );

/** For `session`, too. */
const FRAMES: Inputs = {
  request: headers(1, get()),
  upload: Buffer.concat([headers(1, post("content-length", "5"), false), data(1, "hello", true)]),
  trailers: Buffer.concat([
    headers(3, post(), false),
    data(3, "abc"),
    headers(3, ["x-sum", "1"]),
    headers(5, get()),
    headers(5, ["x-late", "1"]),
  ]),
  "every-way": Buffer.concat([
    repeated(6, (at) => headers(2 * at + 1, post(), false)),
    repeated(6, (at) => data(2 * at + 1, "hello", true)),
    widen(0, 1_000_000),
    widen(7, 1_000_000),
  ]),
  continuation: Buffer.concat([
    frame(FRAME_HEADERS, FLAG_END_STREAM, 1, block(get()).subarray(0, 9)),
    frame(FRAME_CONTINUATION, 0, 1, block(get()).subarray(9, 20)),
    frame(FRAME_CONTINUATION, FLAG_END_HEADERS, 1, block(get()).subarray(20)),
  ]),
  padded: Buffer.concat([
    padded(FRAME_HEADERS, FLAG_END_HEADERS, 1, 7, block(post())),
    padded(FRAME_DATA, FLAG_END_STREAM, 1, 9, Buffer.from("hello")),
  ]),
  prioritised: frame(
    FRAME_HEADERS,
    WHOLE | 0x20,
    1,
    Buffer.concat([word(3), Buffer.of(9), block(get())]),
  ),
  settings: settings([1, 0], [2, 0], [3, 7], [4, 65_536], [5, 16_384], [6, 4_000], [8, 1]),
  "small-windows": Buffer.concat([
    settings([4, 3]),
    headers(7, get()),
    widen(7, 5),
    widen(0, 70_000),
  ]),
  "table-sizes": Buffer.concat([
    settings([1, 0]),
    headers(1, get()),
    settings([1, 4_096]),
    headers(3, get()),
  ]),
  pings: Buffer.concat([ping(), ping(1)]),
  goaway: frame(FRAME_GOAWAY, 0, 0, Buffer.concat([word(0), word(0), Buffer.from("bye")])),
  unknown: Buffer.concat([frame(0x77, 0xff, 3, "abc"), headers(1, get())]),
  push: frame(FRAME_PUSH_PROMISE, FLAG_END_HEADERS, 1, Buffer.concat([word(2), block(get())])),
  "rapid-reset": repeated(40, (at) =>
    Buffer.concat([headers(2 * at + 3, get()), reset(2 * at + 3)]),
  ),
  "made-you-reset": repeated(30, (at) =>
    Buffer.concat([headers(2 * at + 1, get()), widen(2 * at + 1, 0)]),
  ),
  "too-many-streams": repeated(30, (at) => headers(8 * at + 5, post(), false)),
  "continuation-flood": Buffer.concat([
    frame(FRAME_HEADERS, 0, 1, block(get())),
    repeated(12, () => frame(FRAME_CONTINUATION, 0, 1)),
  ]),
  "settings-flood": repeated(120, () => settings()),
  "priority-flood": repeated(150, (at) => priority(2 * at + 1, 201)),
  "empty-data-flood": Buffer.concat([headers(1, post(), false), repeated(120, () => data(1, ""))]),
  "window-overflow": Buffer.concat([
    headers(1, get()),
    widen(1, 0x7fff_ffff),
    widen(0, 0x7fff_ffff),
  ]),
  "self-dependency": Buffer.concat([headers(1, post(), false), priority(1, 1)]),
  "hpack-bomb": frame(
    FRAME_HEADERS,
    WHOLE,
    1,
    Buffer.concat([literal("incremental", "x", "y".repeat(1_000)), Buffer.alloc(2_000, 0xbe)]),
  ),
  smuggling: Buffer.concat([
    headers(1, get("/", "transfer-encoding", "chunked")),
    headers(3, get("/ HTTP/1.1\r\nHost: b\r\nX: ")),
    headers(5, post("content-length", "5"), true),
    headers(7, get("/", "x", "a\r\nb: c")),
  ]),
};

/** A connection of `hpack`: the tables' sizes, and blocks. */
function connection(config: number, ...blocks: readonly Buffer[]): Buffer {
  const parts = blocks.map((bytes) =>
    Buffer.concat([Buffer.of(bytes.length >> 8, bytes.length), bytes]),
  );
  return Buffer.concat([Buffer.of(config), ...parts]);
}

const HPACK: Inputs = {
  "rfc7541-c3": connection(
    0,
    hex("8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d"),
    hex("8286 84be 5808 6e6f 2d63 6163 6865"),
    hex("8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65"),
  ),
  "rfc7541-c4": connection(
    0,
    hex("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff"),
    hex("8286 84be 5886 a8eb 1064 9cbf"),
    hex("8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf"),
  ),
  "rfc7541-c6": connection(
    3,
    hex("3f e101"),
    hex(
      "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
    ),
    hex("4883 640e ffc1 c0bf"),
  ),
  resizes: connection(
    3,
    sizeUpdate(300),
    Buffer.concat([sizeUpdate(0), sizeUpdate(200), indexed(2)]),
  ),
  acknowledged: Buffer.concat([
    connection(2, literal("incremental", "x-a", "b")),
    hex("8003 3f21 be"),
  ]),
  "never-indexed": connection(
    1,
    literal("never", "authorization", "secret"),
    literal("plain", 4, "/a?b"),
  ),
  bomb: connection(16, literal("incremental", "x", "y".repeat(300)), Buffer.alloc(60, 0xbe)),
  "many-fields": connection(0, Buffer.alloc(70, 0x82), indexed(62)),
  "large-integer": connection(0, hex("ff ff ff ff ff 07"), hex("82")),
  "long-integer": connection(0, hex("3f 80 80 80 80 00 82"), hex("3f 80 80 80 80 80 00")),
  eos: connection(0, hex("41 84 ff ff ff ff")),
  eviction: connection(
    2,
    literal("incremental", "a", "1".repeat(20)),
    literal("incremental", "b", "2".repeat(20), true),
    indexed(62),
    literal("incremental", 62, "3".repeat(100)),
  ),
};

const HEADS: Inputs = {
  plain: "GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nVia: 1.1 b\r\n\r\n",
  length:
    "POST http://a/b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
  chunked: "PUT / HTTP/1.1\r\nHost: [::1]:1\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n",
  http10: "GET / HTTP/1.0\r\nConnection: keep-alive, x-hop\r\nX-Hop: a\r\nX-End: b\r\n\r\n",
  websocket: "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\nHost: a\r\n\r\n",
  h2c: "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
  connect: "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nProxy-Authorization: b\r\n\r\n",
  "empty-lines": "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
  "te-cl": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
  "te-twice": "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
  known:
    "GET / HTTP/1.1\r\nHost: a\r\ntraceparent: 00-a-b-01\r\ntracestate: a=b\r\nX-Request-Id: i\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n\r\n",
  response: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: a\r\nConnection: close\r\n\r\n",
  "response-chunked": "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
  "response-http10":
    "HTTP/1.0 302 Found\r\nLocation: /a\r\nConnection: keep-alive, x-hop\r\nX-Hop: a\r\n\r\n",
  "response-101": "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
  "response-304": "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: a\r\n\r\n",
};

const CHUNKED: Inputs = {
  empty: "0\r\n\r\n",
  extensions: '5;a=b;c="d\\"e"\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum: 1\r\n\r\n',
  "bad-whitespace": "5 ; a = b\r\nhello\r\n0\r\n\r\n",
  "leading-zeros": "0005\r\nhello\r\n000\r\n\r\nGET / HTTP/1.1\r\n\r\n",
  "lines-inside": "9\r\n\r\n0\r\n\r\n\r\n\r\n0\r\n\r\n",
  "large-size": "1fffffffffffff\r\n",
  "forbidden-trailer": "0\r\nContent-Length: 5\r\n\r\n",
  "bare-lf": "5\nhello\n0\n\n",
};

const DETECTION: Inputs = {
  "h2-preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  http09: "GET /\r\n",
  "lower-case": "get / http/1.1 \r\nhost: a\r\n\r\n",
  rtsp: "DESCRIBE / RTSP/1.0\r\n",
  ice: "SOURCE / ICE/1.0\r\n",
  "odd-spaces": "GET\x1f/\x85HTTP/1.1\r\n",
  "bare-lf": "\nGET / HTTP/1.1\nHost: a\n\n",
  redis: "*1\r\n$4\r\nPING\r\n",
  "redis-inline": "GET key\r\n",
  nats: 'CONNECT {"verbose":false}\r\nPING\r\n',
  ssh: "SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
  tls: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
  postgres: "\x00\x00\x00\x08\x04\xd2\x16\x2f",
  amqp: "AMQP\x00\x00\x09\x01",
};

const ALL: Readonly<Record<string, Inputs>> = {
  frames: FRAMES,
  hpack: HPACK,
  "h1-head": HEADS,
  chunked: CHUNKED,
  detection: DETECTION,
};

for (const [target, inputs] of Object.entries(ALL)) {
  mkdirSync(join(CORPUS, target), { recursive: true });
  for (const [name, input] of Object.entries(inputs)) {
    const bytes = typeof input === "string" ? Buffer.from(input, "latin1") : input;
    writeFileSync(join(CORPUS, target, `${name}.bin`), bytes);
  }
}
