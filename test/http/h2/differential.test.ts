import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import * as http2 from "node:http2";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, afterEach, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { processClock } from "../../../src/core/clock.ts";
import { Deadlines } from "../../../src/core/deadlines.ts";
import type { Conn } from "../../../src/http/conn.ts";
import { ServerSession } from "../../../src/http/h2/server-session.ts";
import { DEFAULT_SESSION_LIMITS } from "../../../src/http/h2/settings.ts";
import { acceptConn } from "../../../src/http/open-conn.ts";
import {
  clientLab,
  closeLabs,
  Exchange,
  echo,
  get,
  NO_HANDLER,
  post,
  serverLab,
  testCertificate,
} from "../../helpers/h2-lab.ts";
import { until } from "../../helpers/until.ts";

afterEach(closeLabs);

const run = promisify(execFile);
const MEGABYTE = 1_048_576;

function missing(program: string): string | false {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  return folders.some((folder) => existsSync(join(folder, program)))
    ? false
    : `${program} is not installed`;
}

/** Sends so much content as the stream takes it. */
function stream(exchange: Exchange, bytes: number, piece = 60_000): void {
  const chunk = Buffer.alloc(piece, "x");
  let left = bytes;
  const go = () => {
    while (left > 0) {
      const size = Math.min(left, piece);
      left -= size;
      if (!exchange.stream.sendData(chunk, 0, size, left === 0)) return;
    }
  };
  exchange.onWritable = go;
  go();
}

/** Answers by path: so many bytes for `/bytes/N`, an echo for the rest. */
function serve(exchange: Exchange): void {
  echo(exchange);
  const onEcho = exchange.onComplete;
  exchange.onComplete = () => {
    const [, kind, count] = exchange.field(":path").split("/");
    if (kind === "count") exchange.answer(`${exchange.bytes}`);
    else if (kind === "early") {
      exchange.stream.sendInterim([":status", "103", "link", "<a>"]);
      exchange.answer("late");
    } else if (kind === "bytes") {
      exchange.stream.sendHead([":status", "200"], false);
      stream(exchange, Number(count));
    } else if (kind === "reset") exchange.stream.reset(Number(count));
    else if (kind !== "hang") onEcho(exchange);
  };
}

interface NodeAnswer {
  readonly headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader;
  readonly bytes: number;
  readonly body: string;
  readonly trailers: http2.IncomingHttpHeaders;
  readonly early: number[];
}

async function ask(
  client: http2.ClientHttp2Session,
  fields: http2.OutgoingHttpHeaders,
  body?: Buffer,
  trailers?: http2.OutgoingHttpHeaders,
): Promise<NodeAnswer> {
  const request = client.request(fields, { waitForTrailers: trailers !== undefined });
  const early: number[] = [];
  let got: http2.IncomingHttpHeaders = {};
  request.on("headers", (headers) => early.push(Number(headers[":status"])));
  request.on("trailers", (headers) => {
    got = headers;
  });
  if (trailers !== undefined) request.on("wantTrailers", () => request.sendTrailers(trailers));
  if (body !== undefined) request.write(body);
  request.end();
  const [headers] = await once(request, "response");
  let bytes = 0;
  let text = "";
  for await (const chunk of request) {
    bytes += chunk.length;
    if (text.length < 1_000) text += chunk.toString("latin1").slice(0, 1_000);
  }
  return { headers, bytes, body: text, trailers: got, early };
}

describe("our server and node:http2's client", () => {
  let client: http2.ClientHttp2Session;

  async function connect(options: Parameters<typeof serverLab>[0] = {}) {
    const lab = await serverLab({ onExchange: serve, ...options });
    const scheme = options.tls === undefined ? "http" : "https";
    client = http2.connect(`${scheme}://127.0.0.1:${lab.port}`, {
      rejectUnauthorized: false,
      settings: { initialWindowSize: 200_000 },
    });
    client.on("error", () => undefined);
    await once(client, "connect");
    return { lab, client };
  }

  afterEach(() => client.destroy());

  for (const tls of [undefined, testCertificate()]) {
    describe(tls === undefined ? "in the clear" : "over TLS", () => {
      const options = tls === undefined ? {} : { tls };

      it("exchange small messages, many at once", async () => {
        const { client } = await connect(options);
        const asked = Array.from({ length: 200 }, (_, at) =>
          ask(client, { ":path": `/${at}`, ":method": "POST" }, Buffer.from(`body ${at}`)),
        );
        const answers = await Promise.all(asked);
        for (const [at, answer] of answers.entries()) {
          assert.equal(answer.headers[":status"], 200);
          assert.equal(answer.body, `body ${at}`);
        }
      });

      it("exchange trailers, interim responses, HEAD-like answers without content", async () => {
        const { client } = await connect(options);
        const fields = { ":path": "/", ":method": "POST", te: "trailers" };
        const answer = await ask(client, fields, Buffer.from("x"), { checksum: "42" });
        assert.equal(answer.body, "x");
        assert.equal(answer.trailers["checksum"], "42");
        const early = await ask(client, { ":path": "/early" });
        assert.deepEqual(early.early, [103]);
        assert.equal(early.body, "late");
      });

      it("exchange large content both ways at once", async () => {
        const { client } = await connect(options);
        // A client of Node refuses what would have it hold more than 10 MB.
        const up = Array.from({ length: 4 }, () =>
          ask(client, { ":path": "/count", ":method": "POST" }, Buffer.alloc(2 * MEGABYTE)),
        );
        const down = Array.from({ length: 4 }, () =>
          ask(client, { ":path": `/bytes/${8 * MEGABYTE}` }),
        );
        for (const answer of await Promise.all(up)) assert.equal(answer.body, `${2 * MEGABYTE}`);
        for (const answer of await Promise.all(down)) assert.equal(answer.bytes, 8 * MEGABYTE);
      });

      it("pass reset codes on, both ways", async () => {
        const { lab, client } = await connect(options);
        const request = client.request({ ":path": "/reset/11" });
        request.on("error", () => undefined);
        await until(() => request.destroyed, { what: "the reset" });
        assert.equal(request.rstCode, 11);
        const given = client.request({ ":path": "/hang", ":method": "POST" });
        given.on("error", () => undefined);
        await until(() => lab.exchanges.length === 2, { what: "the request" });
        given.close(http2.constants.NGHTTP2_CANCEL);
        await until(() => lab.exchanges[1]?.resets.length === 1, { what: "the reset" });
        assert.deepEqual(lab.exchanges[1]?.resets, [[8, true]]);
      });
    });
  }

  it("ping each other", async () => {
    const { client } = await connect();
    const echoed = await new Promise<Buffer>((resolve, reject) => {
      client.ping(Buffer.from("abcdefgh"), (error, _ms, payload) =>
        error === null ? resolve(payload) : reject(error),
      );
    });
    assert.equal(echoed.toString(), "abcdefgh");
  });

  it("agree on changed windows", async () => {
    const { client } = await connect();
    const slow = ask(client, { ":path": `/bytes/${4 * MEGABYTE}` });
    client.settings({ initialWindowSize: 1_000 });
    await once(client, "localSettings");
    client.settings({ initialWindowSize: 1_000_000 });
    assert.equal((await slow).bytes, 4 * MEGABYTE);
  });

  it("tunnel by CONNECT and by extended CONNECT", async () => {
    const { client } = await connect({
      onExchange: (exchange) => {
        const { onData, onHead } = exchange;
        exchange.onHead = (fields, last) => {
          onHead.call(exchange, fields, last);
          exchange.stream.sendHead([":status", "200"], false);
        };
        exchange.onData = (chunk, start, end, last) => {
          onData.call(exchange, chunk, start, end, last);
          exchange.stream.sendData(chunk, start, end, last);
        };
      },
    });
    await until(() => client.remoteSettings.enableConnectProtocol === true, { what: "settings" });
    const plain = { ":method": "CONNECT", ":authority": "a:1" };
    const extended = { ...plain, ":protocol": "websocket", ":scheme": "http", ":path": "/chat" };
    for (const fields of [plain, extended]) {
      const tunnel = client.request(fields, { endStream: false });
      const [headers] = await once(tunnel, "response");
      assert.equal(headers[":status"], 200);
      tunnel.write("there");
      const [chunk] = await once(tunnel, "data");
      assert.equal(chunk.toString(), "there");
      tunnel.end();
      await once(tunnel, "close");
      assert.equal(tunnel.rstCode, 0);
    }
  });

  it("drain without the loss of a request", async () => {
    const { lab, client } = await connect();
    const session = await lab.session();
    const during = ask(client, { ":path": `/bytes/${4 * MEGABYTE}` });
    await until(() => session.openStreams === 1, { what: "the request" });
    session.drain();
    await once(client, "goaway");
    assert.equal((await during).bytes, 4 * MEGABYTE);
    await until(() => lab.ends.length === 1, { what: "the end" });
    assert.deepEqual(lab.ends, [null]);
  });
});

describe("our client and node:http2's server", () => {
  let server: http2.Http2Server;
  let port = 0;

  before(async () => {
    server = http2.createServer({
      settings: {
        maxConcurrentStreams: 50,
        enableConnectProtocol: true,
        initialWindowSize: 90_000,
      },
    });
    server.on("sessionError", () => undefined);
    server.on("stream", (stream, fields) => {
      stream.on("error", () => undefined);
      const [, kind, count] = (fields[":path"] ?? "").split("/");
      if (fields[":method"] === "CONNECT") {
        stream.respond({ ":status": 200 });
        stream.pipe(stream);
      } else if (kind === "bytes") {
        stream.respond({ ":status": 200 });
        stream.end(Buffer.alloc(Number(count)));
      } else if (kind === "reset") stream.close(Number(count));
      else if (kind === "goaway") stream.session?.goaway(0, Number(count));
      else if (kind === "hang") stream.resume();
      else if (kind === "early") {
        stream.additionalHeaders({ ":status": 103, link: "<a>" });
        stream.respond({ ":status": 204 }, { endStream: true });
      } else {
        stream.respond(
          { ":status": 200, "x-method": fields[":method"] },
          { waitForTrailers: true },
        );
        stream.on("wantTrailers", () => stream.sendTrailers({ checksum: "42" }));
        if (fields[":method"] === "HEAD") stream.end();
        else stream.pipe(stream);
      }
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });

  after(() => server.close());

  it("exchange messages, up to the server's limit at once", async () => {
    const { session, request, told } = await clientLab(port);
    await until(() => told.includes("available"), { what: "the settings" });
    assert.equal(session.maxStreams, 50);
    assert.equal(session.connectProtocol, true);
    const exchanges = Array.from({ length: 50 }, (_, at) => request(post(), `body ${at}`));
    assert.throws(() => request(get()), /no request now/);
    await until(() => exchanges.every(({ complete }) => complete), { what: "the answers" });
    for (const [at, { body, trailers, head }] of exchanges.entries()) {
      assert.equal(body, `body ${at}`);
      assert.deepEqual(trailers, ["checksum", "42"]);
      assert.equal(head[1], "200");
    }
    assert.equal(session.openStreams, 0);
    const more = request(get("/early"));
    await until(() => more.complete, { what: "the answer" });
    assert.equal(more.interim[0]?.[1], "103");
    assert.equal(more.field(":status"), "204");
  });

  it("exchange large content both ways", async () => {
    const { request } = await clientLab(port);
    const up = request(post(), "x".repeat(MEGABYTE));
    const down = request(get(`/bytes/${8 * MEGABYTE}`));
    await until(() => up.complete && down.complete, { what: "the content" });
    assert.equal(up.bytes, MEGABYTE);
    assert.equal(down.bytes, 8 * MEGABYTE);
  });

  it("understand HEAD, resets and GOAWAY", async () => {
    const { request, session, told } = await clientLab(port);
    const head = request([":method", "HEAD", ...get().slice(2)]);
    await until(() => head.complete, { what: "the answer" });
    assert.equal(head.field("x-method"), "HEAD");
    const broken = request(get("/reset/11"));
    await until(() => broken.resets.length === 1, { what: "the reset" });
    assert.deepEqual(broken.resets, [[11, true]]);
    assert.equal(broken.stream.retrySafe, false);
    const refused = request(get("/reset/7"));
    await until(() => refused.resets.length === 1, { what: "the refusal" });
    assert.equal(refused.stream.retrySafe, true);
    const first = request(get("/hang"));
    const id = first.stream.id;
    const last = request(get(`/goaway/${id}`));
    await until(() => last.resets.length === 1, { what: "the GOAWAY" });
    assert.deepEqual(last.resets, [[7, true]]);
    assert.equal(last.stream.retrySafe, true);
    assert.equal(first.stream.isOver, false, "it was taken on");
    assert.ok(session.goingAway && told.includes("going away"));
    assert.throws(() => request(get()), /no request now/);
    first.stream.reset(8);
    await until(() => told.includes("end"), { what: "the end" });
  });

  it("tunnel by CONNECT", async () => {
    const { session } = await clientLab(port);
    const stream = session.request(NO_HANDLER, [":method", "CONNECT", ":authority", "a:1"], false);
    assert.ok(stream !== null);
    const exchange = new Exchange(stream);
    stream.handler = exchange;
    const bytes = Buffer.from("there");
    stream.sendData(bytes, 0, bytes.length, false);
    await until(() => exchange.body === "there", { what: "the echo" });
    stream.sendData(bytes, 0, 0, true);
    await until(() => exchange.complete, { what: "the end" });
    assert.equal(session.openStreams, 0);
  });
});

describe("our client and our server", () => {
  it("exchange large content both ways, with trailers", async () => {
    const lab = await serverLab({ onExchange: serve });
    const { request } = await clientLab(lab.port);
    const exchanges = Array.from({ length: 20 }, () => request(get(`/bytes/${MEGABYTE}`)));
    const up = request(post().with(5, "/count") as string[], "x".repeat(4 * MEGABYTE));
    await until(() => [...exchanges, up].every(({ complete }) => complete), { what: "all" });
    for (const { bytes } of exchanges) assert.equal(bytes, MEGABYTE);
    assert.equal(up.body, `${4 * MEGABYTE}`);
  });
});

describe("curl", { skip: missing("curl") }, () => {
  const said = async (...args: string[]) => (await run("curl", ["-s", "-S", ...args])).stdout;

  it("gets and posts with prior knowledge", async () => {
    const { port } = await serverLab({ onExchange: serve });
    const url = `http://127.0.0.1:${port}`;
    const format = ["-w", "%{http_version} %{http_code} %{size_download}"];
    const to = ["--http2-prior-knowledge", "-o", "/dev/null", ...format];
    assert.equal(await said(...to, `${url}/bytes/3000000`), "2 200 3000000");
    assert.equal(await said("--http2-prior-knowledge", "-d", "hello", url), "hello");
    const folder = await mkdtemp(join(tmpdir(), "h2-"));
    await writeFile(join(folder, "body"), Buffer.alloc(3_000_000));
    const posted = ["--data-binary", `@${join(folder, "body")}`, `${url}/count`];
    assert.equal(await said("--http2-prior-knowledge", ...posted), "3000000");
    await rm(folder, { recursive: true });
  });

  it("negotiates h2 by ALPN", async () => {
    const { port, sessions } = await serverLab({ onExchange: serve, tls: testCertificate() });
    const format = ["-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}"];
    const to = `https://127.0.0.1:${port}/bytes/3000000`;
    assert.equal(await said("-k", "--http2", ...format, to), "2 200 3000000");
    // On one connection; with prior knowledge curl 7.88 fails at that, with node:http2 too.
    const many = await said("-k", "--http2", `https://127.0.0.1:${port}/bytes/[1-100]`);
    assert.equal(many.length, 5_050);
    assert.equal(sessions.length, 2);
  });

  it("upgrades a connection from HTTP/1.1", async () => {
    const { port, close } = await upgradingServer();
    const format = ["-w", " %{http_version} %{http_code}"];
    assert.equal(
      await said("--http2", ...format, `http://127.0.0.1:${port}/bytes/5`),
      "xxxxx 2 200",
    );
    close();
  });
});

describe("nghttp", { skip: missing("nghttp") }, () => {
  it("gets, posts with trailers and continuations, and upgrades", async () => {
    const { port } = await serverLab({ onExchange: serve });
    const url = `http://127.0.0.1:${port}`;
    const many = await run("nghttp", ["-n", "-s", "-m", "100", `${url}/bytes/10000`]);
    assert.equal(many.stdout.match(/ 200 /g)?.length, 100);
    const folder = await mkdtemp(join(tmpdir(), "h2-"));
    await writeFile(join(folder, "body"), "content");
    const file = join(folder, "body");
    const trailers = ["--trailer", "checksum: 42", "--continuation", "--padding=100"];
    const posted = await run("nghttp", ["-v", "-d", file, ...trailers, url]);
    assert.match(posted.stdout, /content/);
    assert.match(posted.stdout, /checksum: 42/);
    await rm(folder, { recursive: true });
    const upgrading = await upgradingServer();
    const upgraded = await run("nghttp", ["-u", `http://127.0.0.1:${upgrading.port}/bytes/5`]);
    assert.equal(upgraded.stdout, "xxxxx");
    upgrading.close();
  });
});

/** Takes an HTTP/1.1 request that upgrades to h2c, and nothing else (RFC 7540 section 3.2). */
async function upgradingServer(): Promise<{ readonly port: number; close(): void }> {
  const deadlines = new Deadlines(processClock);
  const deps = { limits: DEFAULT_SESSION_LIMITS, clock: processClock, deadlines };
  const conns: Conn[] = [];
  const server = createServer({ pauseOnConnect: true, allowHalfOpen: true }, (socket) => {
    let head = "";
    const ignore = () => undefined;
    const onBytes = (chunk: Buffer, end: number) => {
      head += chunk.toString("latin1", 0, end);
      const at = head.indexOf("\r\n\r\n");
      if (at === -1) return;
      const settings = /^http2-settings: *(.*)\r$/im.exec(head)?.[1] ?? "";
      assert.ok(ServerSession.canUpgrade(settings));
      conn.writeText(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
      );
      const fields = get(head.split(" ")[1]);
      const handler = {
        onStream: (stream: Exchange["stream"]) => {
          const exchange = new Exchange(stream);
          serve(exchange);
          return exchange;
        },
        onRefused: ignore,
        onSessionEnd: ignore,
      };
      const session = ServerSession.upgrade(conn, handler, deps, { settings, fields });
      const rest = Buffer.from(head.slice(at + 4), "latin1");
      if (rest.length > 0) session.onBytes(rest, rest.length);
    };
    const conn = acceptConn(socket, { onBytes, onFin: ignore, onDrain: ignore, onClose: ignore });
    conns.push(conn);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      deadlines.close();
      for (const conn of conns) conn.destroy();
    },
  };
}
