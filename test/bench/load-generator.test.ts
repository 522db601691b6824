import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { decodeFromCompressedBase64 } from "hdr-histogram-js";
import { Generator } from "../../bench/load/generator.ts";
import { warmSelf } from "../../bench/load/warm-self.ts";
import type { LoadJob, LoadResult, Target } from "../../bench/model.ts";
import { listenUpstream } from "../../bench/upstream/upstream-server.ts";
import { freePort } from "../../daemon/free-port.ts";

const PATIENCE = { timeoutMs: 1_000, openingMs: 500 };
const silent = { counting: () => undefined, counted: () => undefined };
const ok = (body: string, field = "") =>
  `HTTP/1.1 200 OK\r\n${field}Content-Length: ${body.length}\r\n\r\n${body}`;

interface Fake {
  readonly port: number;
  readonly accepted: () => number;
  close(): void;
}

/** A server that handles each chunk of a connection; a request is one chunk here. */
async function fake(
  onChunk: (text: string, socket: Socket, number: number) => void,
  onAccept: (socket: Socket) => void = () => undefined,
): Promise<Fake> {
  const sockets = new Set<Socket>();
  let chunks = 0;
  let accepted = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    accepted++;
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (data) => onChunk(data.toString("latin1"), socket, chunks++));
    onAccept(socket);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    accepted: () => accepted,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

const target = (port: number, authority = "web-0", connect = false): Target => ({
  ...{ host: "127.0.0.1", port, authority, connect },
});

function job(change: Partial<LoadJob> & Pick<LoadJob, "targets">): LoadJob {
  return {
    ...{ protocol: "http1", connections: 4, bodyBytes: 5, rate: null, seconds: 0.3 },
    ...{ warmUpSeconds: 0.05, vary: false, ...change },
  };
}

const histogramOf = ({ histogram }: LoadResult) => decodeFromCompressedBase64(histogram);

/** Runs a load on a fake server that is closed at the end. */
async function loadOn(server: Fake, change: Partial<LoadJob> = {}): Promise<LoadResult> {
  try {
    const given = job({ targets: [target(server.port)], ...change });
    return await new Generator(given, PATIENCE).run(silent);
  } finally {
    server.close();
  }
}

test("the closed loop counts whole answers of every size, over both protocols", async () => {
  const upstream = await listenUpstream("127.0.0.1", 1);
  const targets = [target(upstream.ports[0] ?? 0)];
  try {
    for (const protocol of ["http1", "tcp"] as const) {
      for (const bodyBytes of [protocol === "tcp" ? 1 : 0, 115, 300_000, 3_000_000]) {
        const given = job({ targets, protocol, bodyBytes, vary: bodyBytes === 115 });
        const result = await new Generator(given).run(silent);
        assert.deepEqual(result.errors, {});
        assert.ok(result.requests > 0);
        assert.equal(result.bodyBytes, result.requests * bodyBytes);
        assert.equal(histogramOf(result).totalCount, result.requests);
        assert.equal(result.connectionsOpened, 4);
        assert.equal(result.lateP99Micros, null);
        assert.ok(result.seconds > 0.29 && result.cpuMs > 0);
      }
    }
  } finally {
    upstream.close();
  }
});

test("moments are told in order, and services behind one address get equally many requests", async () => {
  const hosts = new Map<string, number>();
  const server = await fake((text, socket) => {
    const host = /Host: (\S+)/.exec(text)?.[1] ?? "";
    hosts.set(host, (hosts.get(host) ?? 0) + 1);
    socket.write(ok("12345"));
  });
  const told: string[] = [];
  try {
    const targets = [0, 1, 2].map((at) => target(server.port, `web-${at}`));
    const given = job({ targets, firstRequests: 300, seconds: 10 });
    await new Generator(given).run({
      loaded: () => told.push("loaded"),
      counting: () => told.push("counting"),
      counted: () => told.push("counted"),
    });
  } finally {
    server.close();
  }
  assert.deepEqual(told, ["counting", "counted"], "there is no warm-up");
  assert.deepEqual(Object.fromEntries(hosts), { "web-0": 100, "web-1": 100, "web-2": 100 });
});

test("connections are dealt over services of several addresses, and so is a rate", async () => {
  const counts = [0, 0, 0];
  const servers = await Promise.all(
    counts.map((_, at) =>
      fake((_text, socket) => {
        counts[at] = (counts[at] ?? 0) + 1;
        socket.write(ok("12345"));
      }),
    ),
  );
  try {
    const targets = servers.map(({ port }, at) => target(port, `web-${at}`));
    const given = job({ targets, connections: 6, rate: 1_000, firstRequests: 300, seconds: 10 });
    const result = await new Generator(given).run(silent);
    assert.equal(result.requests, 300);
    assert.deepEqual(counts, [100, 100, 100]);
    assert.deepEqual(
      servers.map(({ accepted }) => accepted()),
      [2, 2, 2],
    );
  } finally {
    for (const server of servers) server.close();
  }
});

test("with a rate, requests that wait for a stalled server count from when they were due", async () => {
  const stallMs = 400;
  const server = await fake((_text, socket, number) => {
    setTimeout(() => socket.write(ok("12345")), number === 0 ? stallMs : 0);
  });
  const change = { connections: 1, rate: 100, firstRequests: 60, seconds: 20 };
  const result = await loadOn(server, change);
  const latencies = histogramOf(result);
  assert.equal(latencies.totalCount, 60);
  // In the stall 40 requests were due, and all but the last ones waited for more than a tenth of a second.
  // Timers count whole milliseconds, so the stall may end a little before its time.
  assert.ok(latencies.getValueAtPercentile(100) >= (stallMs - 5) * 1e3);
  assert.ok(latencies.getValueAtPercentile(100 - (25 / 60) * 100) > 100_000);
  assert.ok((result.lateP99Micros ?? -1) >= 0);
});

test("a rate that cannot be reached leaves requests unanswered, and throughput is what came", async () => {
  const server = await fake((_text, socket) => {
    setTimeout(() => socket.write(ok("12345")), 100);
  });
  const result = await loadOn(server, {
    connections: 1,
    rate: 200,
    seconds: 0.5,
    warmUpSeconds: 0,
  });
  assert.ok(result.requests <= 6);
  const unanswered = result.errors["unanswered"] ?? 0;
  assert.ok(unanswered >= 60);
  assert.ok(unanswered + histogramOf(result).totalCount >= 95);
});

test("the first requests are all of them, and none is lost with a connection", async () => {
  const server = await fake((_text, socket, number) => {
    if (number === 5) socket.resetAndDestroy();
    else socket.write(ok("12345"));
  });
  const result = await loadOn(server, { firstRequests: 50, seconds: 20 });
  assert.deepEqual(result.errors, { reset: 1 });
  assert.equal(result.requests, 49);
});

test("wrong answers are errors by kind, and the connection is replaced", async () => {
  const cases: [string, string][] = [
    ["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", "status 503"],
    [ok("123456"), "wrong length"],
    [`${ok("12345")}6`, "garbled"],
    ["nonsense\r\n\r\n", "garbled"],
  ];
  for (const [answer, kind] of cases) {
    const server = await fake((_text, socket) => socket.write(answer));
    const result = await loadOn(server, { firstRequests: 6, seconds: 20 });
    assert.deepEqual(result.errors, { [kind]: 6 });
    assert.equal(result.requests, 0);
    assert.ok(result.connectionsOpened > 4);
  }
});

test("a server that ends in an answer, or says nothing, is told apart", async () => {
  const cut = await fake((_text, socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Le"));
  assert.deepEqual((await loadOn(cut, { firstRequests: 3, seconds: 20 })).errors, { closed: 3 });
  const mute = await fake(() => undefined);
  const result = await loadOn(mute, { connections: 1, firstRequests: 1, seconds: 20 });
  assert.deepEqual(result.errors, { timeout: 1 });
});

test("a server that closes after an answer as it said makes no error", async () => {
  const server = await fake((_text, socket) => socket.end(ok("12345", "Connection: close\r\n")));
  const result = await loadOn(server, { firstRequests: 20, seconds: 20 });
  assert.deepEqual(result.errors, {});
  assert.equal(result.requests, 20);
  assert.ok(server.accepted() >= 20);
});

test("connections that are ended at once are replaced after a pause", async () => {
  const refusing = await fake(
    () => undefined,
    (socket) => socket.resetAndDestroy(),
  );
  const started = performance.now();
  await loadOn(refusing, { connections: 4, seconds: 0.3 }).catch(() => null);
  const tenths = (performance.now() - started) / 100;
  // Each of the four connections is tried again after a tenth of a second.
  assert.ok(refusing.accepted() <= 4 * (tenths + 1), `${refusing.accepted()} in ${tenths}`);
});

test("nothing listens: the run ends with the reason", async () => {
  const port = await freePort("127.0.0.1", 0);
  const given = job({ targets: [target(port)] });
  const message = new RegExp(`no connection to 127.0.0.1:${port}: .*ECONNREFUSED`);
  await assert.rejects(new Generator(given, PATIENCE).run(silent), message);
});

test("a tunnel is asked for with the service's name, and then carries raw bytes", async () => {
  const asked = new Set<string>();
  const server = await fake((text, socket) => {
    if (text.startsWith("CONNECT")) {
      asked.add(text);
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
    } else socket.write("x".repeat(Number.parseInt(text, 10)));
  });
  const targets = [0, 1].map((at) => target(server.port, `web-${at}`, true));
  const result = await loadOn(server, { protocol: "tcp", targets, firstRequests: 40, seconds: 20 });
  assert.deepEqual(result.errors, {});
  assert.equal(result.requests, 40);
  assert.deepEqual([...asked].sort(), [
    "CONNECT web-0 HTTP/1.1\r\nHost: web-0\r\n\r\n",
    "CONNECT web-1 HTTP/1.1\r\nHost: web-1\r\n\r\n",
  ]);
});

test("a tunnel that is refused ends the run with the status", async () => {
  const server = await fake((_text, socket) => socket.write("HTTP/1.1 403 Forbidden\r\n\r\n"));
  const targets = [target(server.port, "web-0", true)];
  await assert.rejects(
    loadOn(server, { protocol: "tcp", targets }),
    /no connection to .*: status 403/,
  );
});

test("the generator warms itself without the proxy", async () => {
  const port = await freePort("127.0.0.1", 0);
  await warmSelf(job({ targets: [target(port)], rate: 100, firstRequests: 10 }));
});
