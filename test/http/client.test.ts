import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import type { MeshError } from "../../src/core/errors.ts";
import { ClientConnection } from "../../src/http/h1/client.ts";
import type { ResponseHead } from "../../src/http/message.ts";
import type { UpstreamHandler } from "../../src/http/upstream.ts";
import { byteByByte } from "../helpers/chunks.ts";
import { type ConnPair, connPair } from "../helpers/conn-pair.ts";
import { until } from "../helpers/until.ts";

const LIMITS = { headBytes: 4_096, requestLineBytes: 1_024, headerCount: 20 };
const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

class Handler implements UpstreamHandler {
  readonly heads: ResponseHead[] = [];
  interim = 0;
  body = "";
  complete = 0;
  readonly errors: MeshError[] = [];

  onInformational(): void {
    this.interim += 1;
  }

  onResponse(head: ResponseHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.heads.push(head);
    this.onResponseBody(chunk, start, end, last);
  }

  onResponseBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.body += chunk.toString("latin1", start, end);
    if (last) this.complete += 1;
  }

  onUpstreamDrain(): void {
    // Of no interest here.
  }

  onUpstreamError(error: MeshError): void {
    this.errors.push(error);
  }

  get isOver(): boolean {
    return this.complete + this.errors.length > 0;
  }
}

interface ClientLab {
  readonly pair: ConnPair;
  readonly client: ClientConnection;
  readonly handler: Handler;
  closes(): number;
}

const pairs: ConnPair[] = [];
after(() => {
  for (const pair of pairs) pair.close();
});

/** A connection that a request occupies; `peer` is the endpoint. */
async function clientLab(method = "GET", isComplete = true): Promise<ClientLab> {
  const pair = await connPair();
  pairs.push(pair);
  let closes = 0;
  const owner = {
    onClosed: () => {
      closes += 1;
    },
  };
  const client = new ClientConnection(pair.conn, "peer:1", owner, LIMITS);
  const handler = new Handler();
  client.send(handler, method, REQUEST, isComplete);
  return { pair, client, handler, closes: () => closes };
}

interface Verdict {
  readonly name: string;
  readonly answer: string;
  readonly method?: string;
  readonly isReusable: boolean;
}

const VERDICTS: readonly Verdict[] = [
  { name: "a length", answer: OK, isReusable: true },
  {
    name: "chunked",
    answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    isReusable: true,
  },
  { name: "204", answer: "HTTP/1.1 204 No Content\r\n\r\n", isReusable: true },
  {
    name: "HEAD",
    method: "HEAD",
    answer: "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
    isReusable: true,
  },
  {
    name: "an interim response first",
    answer: `HTTP/1.1 103 Early Hints\r\n\r\n${OK}`,
    isReusable: true,
  },
  {
    name: "Connection: close",
    answer: "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
    isReusable: false,
  },
  {
    name: "HTTP/1.0",
    answer: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    isReusable: false,
  },
];

describe("the client side of a connection", () => {
  it("knows whether it may be used again, however the answer arrives", async () => {
    for (const { name, answer, method, isReusable } of VERDICTS) {
      for (const pieces of [[Buffer.from(answer)], byteByByte(Buffer.from(answer))]) {
        const { pair, client, handler } = await clientLab(method);
        for (const piece of pieces) {
          pair.peer.write(piece);
          await new Promise(setImmediate);
        }
        await until(() => handler.isOver, { what: name });
        assert.equal(handler.complete, 1, name);
        assert.equal(client.reusable, isReusable, name);
      }
    }
  });

  it("is not used again when bytes follow its answer", async () => {
    const { pair, client, handler, closes } = await clientLab();
    pair.peer.write(`${OK}HTTP/1.1`);
    await until(() => handler.isOver);
    assert.equal(handler.body, "ok");
    assert.equal(client.reusable, false);
    await until(() => closes() === 1);
    assert.equal(handler.errors.length, 0, "the answer itself was whole");
  });

  it("is not used again when it was answered before it had the request", async () => {
    const { pair, client, handler } = await clientLab("POST", false);
    pair.peer.write(OK);
    await until(() => handler.isOver);
    assert.equal(client.reusable, false);
    const whole = await clientLab("POST", false);
    whole.client.sendBody(Buffer.alloc(0), 0, 0, true, whole.client.carrier);
    whole.pair.peer.write(OK);
    await until(() => whole.handler.isOver);
    assert.equal(whole.client.reusable, true);
  });

  it("closes on anything that comes while it is idle", async () => {
    for (const say of ["H", OK]) {
      const { pair, client, handler, closes } = await clientLab();
      pair.peer.write(OK);
      await until(() => handler.isOver);
      pair.peer.write(say);
      await until(() => closes() === 1);
      assert.equal(client.reusable, false);
      assert.equal(handler.heads.length, 1);
      assert.equal(handler.errors.length, 0);
    }
    const { pair, client, handler, closes } = await clientLab();
    pair.peer.write(OK);
    await until(() => handler.isOver);
    pair.peer.end();
    await until(() => closes() === 1);
    assert.equal(client.reusable, false);
  });

  it("fails once, with the right name, however the endpoint breaks off", async () => {
    const rows: [string, string, string][] = [
      ["", "FIN", "UPSTREAM_RESET"],
      ["", "RST", "UPSTREAM_RESET"],
      ["HTTP/1.1 2", "FIN", "UPSTREAM_TRUNCATED"],
      ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "FIN", "UPSTREAM_TRUNCATED"],
      ["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", "RST", "UPSTREAM_TRUNCATED"],
      [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        "FIN",
        "UPSTREAM_TRUNCATED",
      ],
      ["HTTP/1.1 200 OK\r\n\r\nab", "RST", "UPSTREAM_TRUNCATED"],
      ["nonsense\r\n\r\n", "FIN", "UPSTREAM_PROTOCOL"],
    ];
    for (const [text, end, code] of rows) {
      const { pair, handler, closes } = await clientLab();
      if (text !== "") {
        pair.peer.write(text);
        await until(() => pair.conn.socket.bytesRead === text.length);
      }
      if (end === "FIN") pair.peer.end();
      else pair.peer.resetAndDestroy();
      await until(() => closes() === 1, { what: `${text} ${end}` });
      assert.deepEqual(
        handler.errors.map((error) => error.code),
        [code],
        `${text} ${end}`,
      );
      assert.equal(handler.complete, 0);
    }
  });

  it("takes the end of the connection for the end of a body without a length", async () => {
    const { pair, client, handler, closes } = await clientLab();
    pair.peer.end("HTTP/1.1 200 OK\r\n\r\nall of it");
    await until(() => handler.isOver);
    assert.equal(handler.body, "all of it");
    assert.equal(client.reusable, false);
    client.close();
    await until(() => closes() === 1);
    assert.equal(handler.errors.length, 0);
  });

  it("does not take interim responses without end", async () => {
    const { pair, handler, closes } = await clientLab();
    const interim = "HTTP/1.1 103 Early Hints\r\n\r\n";
    pair.peer.write(interim.repeat(1_000));
    await until(() => closes() === 1);
    assert.equal(handler.errors[0]?.code, "UPSTREAM_PROTOCOL");
    assert.equal(handler.interim, Math.floor(LIMITS.headBytes / interim.length));
    // The bound is for one request and not for the connection.
    const next = await clientLab();
    for (let turn = 1; turn <= 3; turn += 1) {
      next.pair.peer.write(interim.repeat(100) + OK);
      await until(() => next.handler.complete === turn);
      next.client.send(next.handler, "GET", REQUEST, true);
    }
  });

  it("says nothing to a request that has given it up", async () => {
    const { pair, client, handler, closes } = await clientLab();
    client.close();
    pair.peer.write(OK);
    await until(() => closes() === 1);
    assert.equal(handler.isOver, false);
  });
});
