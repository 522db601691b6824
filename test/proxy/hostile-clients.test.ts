import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { byteByByte } from "../helpers/chunks.ts";
import { answering } from "../helpers/raw.ts";
import { until, untilStill } from "../helpers/until.ts";
import { OK, type WebLab, webLab } from "../helpers/web-lab.ts";

const GET = "GET / HTTP/1.1\r\nHost: web\r\n";
const POST = "POST / HTTP/1.1\r\nHost: web\r\n";
const CHUNKED = `${POST}Transfer-Encoding: chunked\r\n\r\n`;

interface Row {
  readonly name: string;
  readonly bytes: string;
  readonly status: number;
  readonly code: string;
}

const bad = (name: string, bytes: string): Row => ({
  name,
  bytes,
  status: 400,
  code: "BAD_REQUEST",
});

/** None of these may reach an endpoint, in one piece or byte by byte. */
const REFUSED: readonly Row[] = [
  bad(
    "Content-Length with Transfer-Encoding",
    `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  bad("differing lengths", `${POST}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`),
  bad("the same length twice", `${POST}Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello`),
  bad("a list of lengths", `${POST}Content-Length: 5, 5\r\n\r\nhello`),
  bad("a signed length", `${POST}Content-Length: +5\r\n\r\nhello`),
  bad("a negative length", `${POST}Content-Length: -1\r\n\r\n`),
  bad("a hexadecimal length", `${POST}Content-Length: 0x5\r\n\r\nhello`),
  bad("an endless length", `${POST}Content-Length: 99999999999999999999\r\n\r\n`),
  bad("an empty length", `${POST}Content-Length: \r\n\r\n`),
  bad("a folded line", `${GET}X-A: 1\r\n 2\r\n\r\n`),
  bad("a bare LF in the head", "GET / HTTP/1.1\nHost: web\n\n"),
  bad("a bare LF behind a field", `${GET}X-A: 1\nX-B: 2\r\n\r\n`),
  bad("a bare CR in a value", `${GET}X-A: 1\rX-B: 2\r\n\r\n`),
  bad("whitespace before the colon", `${POST}Content-Length : 5\r\n\r\nhello`),
  bad("whitespace before the first field", "GET / HTTP/1.1\r\n Host: web\r\n\r\n"),
  bad("a field without a name", `${GET}: 1\r\n\r\n`),
  bad("a field without a colon", `${GET}nonsense\r\n\r\n`),
  bad("NUL in a value", `${GET}X-A: a\0b\r\n\r\n`),
  bad("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("an invalid method", "G(T / HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("a target with a space", "GET /a b HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("a target with a fragment", "GET /a#b HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("a target of another scheme", "GET ftp://web/ HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("a target with user info", "GET http://a@web/ HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("a target without a slash", "GET web HTTP/1.1\r\nHost: web\r\n\r\n"),
  bad("no Host", "GET / HTTP/1.1\r\n\r\n"),
  bad("two Hosts", `${GET}Host: web\r\n\r\n`),
  bad("an empty Host", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
  bad("a Host with a path", "GET / HTTP/1.1\r\nHost: web/x\r\n\r\n"),
  bad("a Host with a comma", "GET / HTTP/1.1\r\nHost: web,web\r\n\r\n"),
  bad("chunked twice", `${POST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`),
  bad("chunked that is not last", `${POST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`),
  bad("a misspelt chunked", `${POST}Transfer-Encoding: xchunked\x0b\r\n\r\n0\r\n\r\n`),
  bad(
    "chunked in HTTP/1.0",
    "POST / HTTP/1.0\r\nHost: web\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  ),
  bad("a chunk size that is none", `${CHUNKED}xyz\r\nabc\r\n0\r\n\r\n`),
  bad("a signed chunk size", `${CHUNKED}-1\r\nabc\r\n0\r\n\r\n`),
  bad("a chunk size with 0x", `${CHUNKED}0x3\r\nabc\r\n0\r\n\r\n`),
  bad("a chunk size with a space before it", `${CHUNKED} 3\r\nabc\r\n0\r\n\r\n`),
  bad("an endless chunk size", `${CHUNKED}fffffffffffffffff\r\nabc`),
  bad("a chunk size that ends in LF", `${CHUNKED}3\nabc\r\n0\r\n\r\n`),
  bad("an empty chunk size", `${CHUNKED}\r\nabc\r\n0\r\n\r\n`),
  bad("a bad extension", `${CHUNKED}3;\x01\r\nabc\r\n0\r\n\r\n`),
  bad("a TLS hello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
  bad("the HTTP/0.9 form", "GET /\r\n\r\n"),
  {
    name: "another transfer coding",
    bytes: `${POST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
    status: 501,
    code: "NOT_IMPLEMENTED",
  },
  {
    name: "another expectation",
    bytes: `${POST}Expect: the-unexpected\r\nContent-Length: 1\r\n\r\na`,
    status: 417,
    code: "EXPECTATION_FAILED",
  },
  {
    name: "HTTP/2.0 in the request line",
    bytes: "GET / HTTP/2.0\r\nHost: web\r\n\r\n",
    status: 505,
    code: "VERSION_NOT_SUPPORTED",
  },
  {
    name: "a long request line",
    bytes: `GET /${"a".repeat(300)} HTTP/1.1\r\nHost: web\r\n\r\n`,
    status: 414,
    code: "REQUEST_LINE_TOO_LONG",
  },
  {
    name: "a large head",
    bytes: `${GET}X-A: ${"a".repeat(2_000)}\r\n\r\n`,
    status: 431,
    code: "HEAD_TOO_LARGE",
  },
  {
    name: "too many fields",
    bytes: `${GET}${"A: 1\r\n".repeat(20)}\r\n`,
    status: 431,
    code: "HEAD_TOO_LARGE",
  },
];

const LIMITS = { requestLineBytes: 256, headBytes: 1_024, headerCount: 20 };

async function refusedBy(web: WebLab, row: Row, pieces: readonly string[]): Promise<void> {
  const client = await web.open();
  for (const piece of pieces) {
    if (client.ended) break;
    client.send(piece);
    if (pieces.length > 1) await new Promise(setImmediate);
  }
  const text = await client.untilEnd();
  assert.match(text, new RegExp(`^HTTP/1\\.1 ${row.status} `), row.name);
  assert.match(text, new RegExp(`\r\nX-Hostmesh-Error: ${row.code}\r\n`), row.name);
  assert.match(text, /\r\nConnection: close\r\n/, row.name);
  assert.equal(text.split("HTTP/1.1 ").length, 2, `${row.name}: one answer`);
  client.close();
}

describe("a hostile client", () => {
  it("gets its error and nothing reaches an endpoint, whatever is ambiguous", async () => {
    const web = await webLab(answering(OK), { config: { limits: LIMITS } });
    for (const row of REFUSED) await refusedBy(web, row, [row.bytes]);
    assert.deepEqual(web.upstream.received, []);
    assert.deepEqual(
      web.lab.facts.map((one) => [one.status, one.error]),
      REFUSED.map((row) => [row.status, row.code]),
    );
    await web.settle();
  });

  it("gets the same errors byte by byte", async () => {
    const web = await webLab(answering(OK), { config: { limits: LIMITS } });
    const all = REFUSED.map((row) => {
      const bytes = byteByByte(Buffer.from(row.bytes, "latin1"));
      return refusedBy(
        web,
        row,
        bytes.map((byte) => byte.toString("latin1")),
      );
    });
    await Promise.all(all);
    assert.deepEqual(web.upstream.received, []);
    await web.settle();
  });

  it("breaks the request at a bad chunk in mid-body, and the endpoint sees no end of it", async () => {
    const web = await webLab(() => undefined);
    for (const tail of ["zz\r\n", "3\r\nabcd\r\n", "0\r\nHost: x\r\n\r\n", "3\rabc"]) {
      const client = await web.send(`${CHUNKED}5\r\nhello\r\n`);
      const index = web.upstream.sockets.length;
      await until(() => web.upstream.received[index]?.endsWith("hello\r\n") ?? false);
      client.send(tail);
      assert.match(await client.untilEnd(), /^HTTP\/1\.1 400 /, tail);
      await until(() => web.upstream.sockets[index]?.readableEnded === true, { what: tail });
      assert.match(web.upstream.received[index] ?? "", /hello\r\n$/, tail);
    }
    await web.settle();
  });

  it("is timed out when its head takes too long", async () => {
    const web = await webLab(answering(OK), { config: { timeouts: { headMs: 200 } } });
    const late = async (part: string) => {
      const client = await web.send(part);
      assert.match(await client.untilEnd(), /^HTTP\/1\.1 408 [^]*: HEAD_TIMEOUT\r\n/, part);
    };
    const silent = await web.open();
    await Promise.all(["G", GET].map(late));
    assert.equal(await silent.untilEnd(), "");
    assert.deepEqual(web.upstream.received, []);
    await web.settle();
  });

  it("is timed out when its body stalls", async () => {
    const web = await webLab(() => undefined, { config: { timeouts: { streamIdleMs: 200 } } });
    const client = await web.send(`${POST}Content-Length: 10\r\n\r\nhello`);
    const text = await client.untilEnd();
    assert.match(text, /^HTTP\/1\.1 408 [^]*X-Hostmesh-Error: REQUEST_BODY_TIMEOUT\r\n/);
    await until(() => web.upstream.sockets[0]?.readableEnded === true);
    await web.settle();
  });

  it("is answered up to the garbage in its pipeline, and then gets 400", async () => {
    const web = await webLab((socket, received) => {
      // A late answer, so that the garbage is there before it.
      if (received.endsWith("\r\n\r\n")) setTimeout(() => socket.write(OK), 30);
    });
    for (const garbage of [
      "\0\0\0",
      "GET / HTTP/1.1\r\n\r\n",
      `${POST}Content-Length: x\r\n\r\n`,
    ]) {
      const client = await web.send(`${GET}\r\n${garbage}`);
      const text = await client.untilEnd();
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nokHTTP\/1\.1 400 Bad Request\r\n/);
      assert.equal(client.error, null);
    }
    assert.equal(web.upstream.received.join("").split("HTTP/1.1").length, 4);
    await web.settle();
  });

  it("gets a partial head behind a good request timed out with 408", async () => {
    const web = await webLab(answering(OK), { config: { timeouts: { headMs: 200 } } });
    const client = await web.send(`${GET}\r\nGET / HT`);
    assert.match(await client.untilEnd(), /200 OK[^]*okHTTP\/1\.1 408 /);
    await web.settle();
  });

  it("gets its answers after it has half-closed, pipelined ones too", async () => {
    const web = await webLab((socket, received) => {
      const heads = received.split("\r\n\r\n").length - 1;
      if (heads > 0) setTimeout(() => socket.write(OK), 20);
    });
    for (const count of [1, 5]) {
      const client = await web.send(`${GET}\r\n`.repeat(count));
      client.socket.end();
      const text = await client.untilEnd();
      assert.equal(text.split("\r\n\r\nok").length, count + 1);
    }
    const cut = await web.send("GET / HTTP/1.1\r\nHos");
    cut.socket.end();
    assert.match(await cut.untilEnd(), /^HTTP\/1\.1 400 /);
    await web.settle();
  });

  it("is given up a moment after it has closed, before its answer or inside it; a slow answer that flows is not", async () => {
    const config = { timeouts: { clientGoneMs: 150 } };
    for (const begun of ["", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"]) {
      const web = await webLab((socket) => socket.write(begun), { config });
      const client = await web.send(`${GET}\r\n`);
      await until(() => web.upstream.received.length > 0);
      if (begun !== "") await client.until("half");
      client.socket.end();
      await until(() => web.lab.endpoints.inFlight(web.slot) === 0, { timeoutMs: 3_000 });
      assert.equal(web.lab.facts.at(-1)?.error, "CLIENT_CLOSED");
      await web.settle();
    }
    const flowing = await webLab(
      (socket) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
        let sent = 0;
        const drip = setInterval(() => {
          if (sent++ < 20) socket.write("x");
          else clearInterval(drip);
        }, 40);
      },
      { config },
    );
    const patient = await flowing.send(`${GET}\r\n`);
    await patient.until("x");
    patient.socket.end();
    assert.match(await patient.untilEnd(), /x{20}$/);
  });

  it("may half-close at once behind CONNECT or an upgrade, and the tunnel knows", async () => {
    const web = await webLab(
      (socket, received) => {
        if (received.includes("Upgrade") && received.endsWith("\r\n\r\n")) {
          // Late, so that the client has ended before the tunnel stands.
          const head = "HTTP/1.1 101 OK\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
          setTimeout(() => socket.write(head), 50);
        }
      },
      {
        onConnection: (socket) => {
          socket.removeAllListeners("end");
          socket.on("end", () => socket.end("bye"));
        },
      },
    );
    const requests = [
      "CONNECT web:80 HTTP/1.1\r\nHost: web:80\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: web\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ];
    for (const [index, request] of requests.entries()) {
      const client = await web.send(request);
      client.socket.end();
      assert.match(await client.untilEnd(), /\r\n\r\nbye$/, request);
      await until(() => web.lab.facts.length === index + 1);
    }
    await web.settle();
  });

  it("may vanish at any point of an exchange", async () => {
    const web = await webLab((socket, received) => {
      if (received.includes("/half"))
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab");
    });
    const points = [
      "GET /half HT",
      `${POST}Content-Length: 100\r\n\r\nabc`,
      `${CHUNKED}5\r\nhel`,
      `${GET}\r\n`,
      "GET /half HTTP/1.1\r\nHost: web\r\n\r\n",
    ];
    for (const bytes of points) {
      for (const how of ["reset", "close"] as const) {
        const before = web.lab.facts.length;
        const client = await web.send(bytes);
        if (bytes.endsWith("\n")) {
          await until(() => web.upstream.received.at(-1)?.endsWith("\r\n\r\n") ?? false);
        }
        if (bytes.startsWith("GET /half HTTP/1.1")) await client.until("ab");
        if (how === "reset") client.socket.resetAndDestroy();
        else client.close();
        await until(
          () => {
            // A close cannot be told from a half-close until something is written: the endpoint fails.
            if (how === "close") for (const socket of web.upstream.sockets) socket.destroy();
            return web.lab.plane.stats().connections === 0;
          },
          { what: `${how} ${bytes}` },
        );
        if (bytes.endsWith("\r\n\r\n")) assert.equal(web.lab.facts.length, before + 1);
      }
    }
    await web.settle();
  });

  it("cannot make answers pile up by not reading them", async () => {
    const body = "x".repeat(10_000);
    const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const web = await webLab(() => undefined, {
      // One request at a time comes to an endpoint, in one piece.
      onConnection: (socket) => socket.on("data", () => socket.write(answer)),
    });
    const count = 4_000;
    const client = await web.open();
    client.socket.pause();
    client.send(`${GET}\r\n`.repeat(count));
    // The kernel's buffers take a few MiB; far fewer than all requests are answered until somebody reads.
    const seen = await untilStill(() => web.lab.facts.length);
    assert.ok(seen < count / 2, `${seen} of ${count} answered although nobody reads`);
    // Others are served meanwhile, over the very same upstream connections.
    const other = await web.send(`${GET}Connection: close\r\n\r\n`);
    assert.ok((await other.untilEnd()).endsWith(body));
    client.socket.resume();
    await client.until("\r\n\r\n");
    const whole = client.received.indexOf("\r\n\r\n") + 4 + body.length;
    await until(() => client.received.length >= count * whole, { what: "all answers" });
    assert.equal(client.received.split("HTTP/1.1 200").length - 1, count);
    assert.ok(client.received.endsWith(body));
    await web.settle();
  });

  it("may read its last answer slowly", async () => {
    const body = "y".repeat(8_000_000);
    const web = await webLab(
      answering(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
    );
    const client = await web.open();
    client.socket.pause();
    client.send(`${GET}Connection: close\r\n\r\n`);
    client.socket.end();
    await until(() => web.upstream.received[0]?.endsWith("\r\n\r\n") ?? false);
    // Longer than the proxy lingers after its last byte.
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    client.socket.resume();
    const text = await client.untilEnd();
    assert.equal(text.length - text.indexOf("\r\n\r\n") - 4, body.length);
    assert.equal(client.error, null);
    await web.settle();
  });

  it("is given up when it takes nothing of its answer for too long", async () => {
    const body = "z".repeat(8_000_000);
    const web = await webLab(
      answering(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`),
      { config: { timeouts: { streamIdleMs: 300 } } },
    );
    const client = await web.open();
    client.socket.pause();
    client.send(`${GET}\r\n`);
    await until(() => web.lab.plane.stats().connections === 0, { what: "the client's end" });
    assert.equal(web.lab.facts[0]?.error, "CLIENT_CLOSED");
    await web.settle();
  });
});
