import assert from "node:assert/strict";
import { once } from "node:events";
import {
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { test } from "node:test";
import { decodeFromCompressedBase64 } from "hdr-histogram-js";
import { Generator } from "../../bench/load/generator.ts";
import type { LoadJob, LoadResult } from "../../bench/model.ts";
import { listenUpstream } from "../../bench/upstream/upstream-server.ts";

const PATIENCE = { timeoutMs: 1_000, openingMs: 500 };
const silent = { counting: () => undefined, counted: () => undefined };

function job(port: number, change: Partial<LoadJob>): LoadJob {
  return {
    targets: [{ host: "127.0.0.1", port, authority: "web-0", connect: false }],
    ...{ protocol: "http2", connections: 2, streams: 8, bodyBytes: 5, rate: null, seconds: 0.2 },
    ...{ warmUpSeconds: 0.05, vary: false, ...change },
  };
}

type Respond = (stream: ServerHttp2Stream, path: string, count: number) => void;

/** Runs a load on Node's own server. */
async function loadOn(respond: Respond, change: Partial<LoadJob> = {}): Promise<LoadResult> {
  const sessions = new Set<ServerHttp2Session>();
  const server: Http2Server = createServer();
  let count = 0;
  server.on("session", (session) => sessions.add(session));
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    respond(stream, String(headers[":path"]), count++);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    return await new Generator(job(port, change), PATIENCE).run(silent);
  } finally {
    server.close();
    for (const session of sessions) session.destroy();
  }
}

function answer(stream: ServerHttp2Stream, body = "12345"): void {
  stream.respond({ ":status": 200, "content-length": body.length });
  stream.end(body);
}

test("answers of every size are counted, over HTTP/2 and gRPC, with and without a rate", async () => {
  const upstream = await listenUpstream("127.0.0.1", 1);
  try {
    for (const protocol of ["http2", "grpc"] as const) {
      for (const bodyBytes of [0, 115, 300_000, 3_000_000]) {
        const rate = bodyBytes === 115 ? 200 : null;
        const given = { protocol, bodyBytes, rate, vary: bodyBytes === 0 };
        const result = await new Generator(job(upstream.ports[0] ?? 0, given)).run(silent);
        assert.deepEqual(result.errors, {});
        assert.ok(result.requests > 0);
        assert.equal(result.bodyBytes, result.requests * bodyBytes);
        assert.equal(result.connectionsOpened, 2);
        assert.equal(result.lateP99Micros === null, rate === null);
        const { totalCount } = decodeFromCompressedBase64(result.histogram);
        assert.ok(rate !== null || totalCount === result.requests);
      }
    }
  } finally {
    upstream.close();
  }
});

test("calls of gRPC that stream are counted in whole, whatever the size of their messages", async () => {
  const upstream = await listenUpstream("127.0.0.1", 1);
  try {
    for (const call of ["server", "bidi"] as const) {
      for (const messages of [1, 7]) {
        for (const bodyBytes of [0, 115, 300_000]) {
          const given = { protocol: "grpc", call, messages, bodyBytes, vary: true } as const;
          const result = await new Generator(job(upstream.ports[0] ?? 0, given)).run(silent);
          assert.deepEqual(result.errors, {}, `${call} ${messages} ${bodyBytes}`);
          assert.ok(result.requests > 0);
          assert.equal(result.bodyBytes, result.requests * messages * bodyBytes);
        }
      }
    }
  } finally {
    upstream.close();
  }
});

test("in a call both ways each message waits for the answer to the one before", async () => {
  const step = 5 + 5;
  let early = 0;
  const counts = new Set<number>();
  const respond: Respond = (stream) => {
    stream.respond({ ":status": 200 }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    let asked = 0;
    let isOwed = false;
    stream.on("data", (data: Buffer) => {
      // One message in each piece, and none before ours was sent.
      if (isOwed || data.length !== 105) early++;
      isOwed = true;
      asked++;
      setTimeout(() => {
        isOwed = false;
        stream.write(Buffer.alloc(step));
      }, 1);
    });
    stream.on("end", () => {
      counts.add(asked);
      setTimeout(() => stream.end(), 5);
    });
  };
  const given = { protocol: "grpc", call: "bidi", messages: 4, bodyBytes: 5 } as const;
  const { requests, errors } = await loadOn(respond, { ...given, firstRequests: 40, seconds: 10 });
  assert.deepEqual([requests, errors, early, [...counts]], [40, {}, 0, [4]]);
});

test("each connection carries as many requests at a time as it has streams", async () => {
  let open = 0;
  let most = 0;
  const result = await loadOn(
    (stream) => {
      open++;
      most = Math.max(most, open);
      setTimeout(() => {
        open--;
        answer(stream);
      }, 5);
    },
    { firstRequests: 100, seconds: 10 },
  );
  assert.equal(most, 16);
  assert.deepEqual([result.requests, result.errors, result.connectionsOpened], [100, {}, 2]);
});

test("with --vary no two requests are alike, and otherwise all are", async () => {
  for (const vary of [false, true]) {
    const paths = new Set<string>();
    const respond: Respond = (stream, path) => {
      paths.add(path);
      answer(stream);
    };
    await loadOn(respond, { firstRequests: 50, seconds: 10, vary });
    assert.equal(paths.size, vary ? 50 : 1);
  }
});

function grpcAnswer(stream: ServerHttp2Stream, bytes: number): void {
  stream.respond({ ":status": 200 }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
  stream.end(Buffer.alloc(bytes));
}

const WRONG: readonly (readonly [kind: string, change: Partial<LoadJob>, respond: Respond])[] = [
  ["status 503", {}, (stream) => stream.respond({ ":status": 503 }, { endStream: true })],
  ["wrong length", {}, (stream) => answer(stream, "1234")],
  ["stream reset", {}, (stream) => stream.close(2)],
  [
    "grpc-status 14",
    { protocol: "grpc" },
    (stream) => stream.respond({ ":status": 200, "grpc-status": "14" }, { endStream: true }),
  ],
  [
    "grpc-status none",
    { protocol: "grpc" },
    (stream) => {
      stream.respond({ ":status": 200 });
      stream.end(Buffer.alloc(10));
    },
  ],
  [
    "garbled",
    // A stream that ends a message too early.
    { protocol: "grpc", call: "server", messages: 3 },
    (stream) => grpcAnswer(stream, 20),
  ],
  [
    "garbled",
    // An answer to a message that was not sent yet.
    { protocol: "grpc", call: "bidi", messages: 3 },
    (stream) => grpcAnswer(stream, 20),
  ],
  ["timeout", { connections: 1, streams: 1 }, () => undefined],
];

for (const [kind, change, respond] of WRONG) {
  const call = change.call === undefined ? "" : ` of a call (${change.call})`;
  test(`one request${call} that fails is an error "${kind}", and its connection goes on`, async () => {
    const given = { firstRequests: 1, seconds: 3, ...change };
    const { errors, requests, connectionsOpened, ...rest } = await loadOn(respond, given);
    assert.deepEqual([errors, requests], [{ [kind]: 1 }, 0], JSON.stringify(rest));
    assert.equal(connectionsOpened, change.connections ?? 2);
  });
}

test("a server that takes no more on a connection gets another one", async () => {
  const result = await loadOn(
    (stream, _path, count) => {
      if (count === 20) stream.session?.goaway(0);
      setTimeout(() => stream.destroyed || answer(stream), 2);
    },
    { firstRequests: 300, seconds: 10 },
  );
  // Those that were on their way when it said so are not served.
  const { goaway = 0, ...others } = result.errors;
  assert.deepEqual(others, {});
  assert.ok(goaway <= 8);
  assert.equal(result.requests + goaway, 300);
  assert.equal(result.connectionsOpened, 3);
});

test("what does not speak HTTP/2 is no connection at all", async () => {
  const server = createTcpServer((socket) => {
    socket.on("error", () => undefined);
    socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  try {
    const { port } = server.address() as AddressInfo;
    await assert.rejects(new Generator(job(port, {}), PATIENCE).run(silent), /no connection to/);
  } finally {
    server.close();
  }
});
