import assert from "node:assert/strict";
import { after, describe, it } from "node:test";
import { FakeClock } from "../../src/core/clock.ts";
import { Deadlines } from "../../src/core/deadlines.ts";
import type { MeshError } from "../../src/core/errors.ts";
import type { DownstreamHandler } from "../../src/http/downstream.ts";
import { ServerConnection } from "../../src/http/h1/server.ts";
import type { RequestHead } from "../../src/http/message.ts";
import { type ConnPair, connPair } from "../helpers/conn-pair.ts";
import { until } from "../helpers/until.ts";

const LIMITS = {
  headBytes: 4_096,
  requestLineBytes: 1_024,
  headerCount: 20,
  headMs: 10_000,
  idleMs: 60_000,
  streamIdleMs: 30_000,
};
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** Remembers what it is told and answers nothing by itself. */
class Handler implements DownstreamHandler {
  readonly heads: RequestHead[] = [];
  body = "";
  complete = 0;
  errors: MeshError[] = [];
  closes = 0;
  fins = 0;
  expired: number[] = [];
  readonly prefaces: string[] = [];

  onRequest(head: RequestHead, chunk: Buffer, start: number, end: number, last: boolean): void {
    this.heads.push(head);
    this.onRequestBody(chunk, start, end, last);
  }

  onRequestBody(chunk: Buffer, start: number, end: number, last: boolean): void {
    this.body += chunk.toString("latin1", start, end);
    if (last) this.complete += 1;
  }

  onRequestError(error: MeshError): void {
    this.errors.push(error);
  }

  onPreface(rest: Buffer): void {
    this.prefaces.push(rest.toString("latin1"));
  }

  onClientFin(): void {
    this.fins += 1;
  }

  onClientDrain(): void {
    // Of no interest here.
  }

  onClientClose(): void {
    this.closes += 1;
  }

  onAnswerDeadline(nowMs: number): void {
    this.expired.push(nowMs);
  }
}

interface ServerLab {
  readonly pair: ConnPair;
  readonly server: ServerConnection;
  readonly handler: Handler;
  readonly deadlines: Deadlines;
  /** Moves the clock in steps of the deadlines' own. */
  pass(ms: number): Promise<void>;
  answer(text: string, keepAlive?: boolean): void;
  received(): string;
}

const labs: ServerLab[] = [];
after(() => {
  for (const { pair, deadlines } of labs) {
    pair.close();
    deadlines.close();
  }
});

async function serverLab(): Promise<ServerLab> {
  const pair = await connPair();
  const clock = new FakeClock(5_000);
  const deadlines = new Deadlines(clock, 3_600_000);
  const handler = new Handler();
  const server = new ServerConnection(pair.conn, handler, { limits: LIMITS, clock, deadlines });
  let received = "";
  pair.peer.on("data", (chunk) => {
    received += chunk.toString("latin1");
  });
  const lab = {
    pair,
    server,
    handler,
    deadlines,
    pass: async (ms: number) => {
      for (let left = ms; left > 0; left -= 500) {
        clock.advance(Math.min(500, left));
        deadlines.tick();
        await new Promise(setImmediate);
      }
    },
    answer: (text: string, keepAlive = true) => {
      pair.conn.writeText(text);
      server.finish(keepAlive, clock.now());
    },
    received: () => received,
  };
  labs.push(lab);
  return lab;
}

describe("the server side of a connection", () => {
  it("keeps a pipelined request back until the one before it is answered", async () => {
    const { pair, handler, answer, received } = await serverLab();
    pair.peer.write(GET.repeat(3));
    await until(() => handler.heads.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let count = 1; count <= 3; count += 1) {
      assert.equal(handler.heads.length, count);
      answer(`${count}`);
    }
    await until(() => received() === "123");
    assert.equal(handler.complete, 3);
  });

  it("waits with the next request until the client has taken enough of the answer", async () => {
    const { pair, handler, answer, received } = await serverLab();
    pair.peer.pause();
    pair.peer.write(GET.repeat(2));
    await until(() => handler.heads.length === 1);
    answer("x".repeat(20_000_000));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(handler.heads.length, 1);
    pair.peer.resume();
    await until(() => handler.heads.length === 2);
    assert.equal(received().length > 10_000_000, true);
  });

  it("goes on after an answer that the client took slowly, also without a pipeline", async () => {
    const { pair, handler, answer, received } = await serverLab();
    pair.peer.pause();
    pair.peer.write(GET);
    await until(() => handler.heads.length === 1);
    answer("x".repeat(20_000_000));
    pair.peer.resume();
    await until(() => received().length === 20_000_000);
    pair.peer.write(GET);
    await until(() => handler.heads.length === 2);
    answer("!");
    await until(() => received().endsWith("!"));
  });

  it("counts the time of a head from its first byte, and the idle time from the answer", async () => {
    const { pair, handler, pass, answer, received } = await serverLab();
    await pass(9_000);
    pair.peer.write(GET);
    await until(() => handler.heads.length === 1);
    answer("ok");
    await pass(59_000);
    assert.equal(handler.closes, 0);
    pair.peer.write("GET");
    await until(() => pair.conn.socket.bytesRead === GET.length + 3);
    await pass(9_500);
    assert.equal(handler.errors.length, 0);
    await pass(1_000);
    assert.equal(handler.errors[0]?.code, "HEAD_TIMEOUT");
    assert.equal(received(), "ok");
  });

  it("ends a connection that stays idle", async () => {
    const { pair, handler, pass, answer } = await serverLab();
    pair.peer.write(GET);
    await until(() => handler.heads.length === 1);
    answer("ok");
    await pass(60_500);
    await until(() => pair.peer.readableEnded);
    pair.peer.end();
    await until(() => handler.closes === 1);
  });

  it("keeps a head back for its first chunk size, and only for a moment", async () => {
    const { pair, handler, pass } = await serverLab();
    const begun = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5";
    pair.peer.write(begun);
    await until(() => pair.conn.socket.bytesRead === begun.length);
    assert.equal(handler.heads.length, 0);
    await pass(500);
    assert.equal(handler.heads.length, 1);
    assert.deepEqual(handler.errors, []);
  });

  it("lets time pass for the handler while an answer is due", async () => {
    const { pair, server, handler, pass } = await serverLab();
    pair.peer.write(GET);
    await until(() => handler.heads.length === 1);
    server.deadlineMs = 5_700;
    await pass(1_000);
    assert.deepEqual(handler.expired, [6_000]);
  });

  it("lingers only from when the client has taken the whole last answer", async () => {
    const { pair, handler, pass, answer, received } = await serverLab();
    pair.peer.pause();
    pair.peer.write(GET);
    await until(() => handler.heads.length === 1);
    answer("x".repeat(20_000_000), false);
    await pass(20_000);
    assert.equal(handler.closes, 0);
    pair.peer.resume();
    await until(() => received().length === 20_000_000);
    await until(() => pair.peer.readableEnded);
    await pass(3_000);
    await until(() => handler.closes === 1, { what: "the end of the lingering" });
  });

  it("gives a client up that takes nothing of its last answer", async () => {
    for (const keepAlive of [true, false]) {
      const { pair, handler, pass, answer } = await serverLab();
      pair.peer.pause();
      pair.peer.write(GET);
      await until(() => handler.heads.length === 1);
      answer("x".repeat(20_000_000), keepAlive);
      await pass(29_000);
      assert.equal(handler.closes, 0);
      await pass(3_000);
      await until(() => handler.closes === 1, { what: `the end, ${keepAlive}` });
    }
  });

  it("sends a last answer whole to a client that has half-closed", async () => {
    const { pair, handler, answer, received } = await serverLab();
    pair.peer.pause();
    pair.peer.write(GET);
    await until(() => handler.heads.length === 1);
    answer("x".repeat(20_000_000), false);
    pair.peer.end();
    await new Promise((resolve) => setTimeout(resolve, 20));
    pair.peer.resume();
    await until(() => handler.closes === 1);
    await until(() => received().length === 20_000_000, { what: "all of it" });
  });

  it("ends at once where both sides have ended", async () => {
    const { pair, handler, answer } = await serverLab();
    pair.peer.end(GET);
    await until(() => handler.heads.length === 1);
    answer("ok");
    await until(() => handler.closes === 1);
    assert.equal(labs.at(-1)?.deadlines.size, 0);
  });

  it("refuses once, and reads nothing behind what it refused", async () => {
    const { pair, handler, answer, received } = await serverLab();
    pair.peer.write(`GET / HTTP/1.1\r\nHost : a\r\n\r\n${GET}`);
    await until(() => handler.errors.length === 1);
    answer("no", false);
    pair.peer.write(GET);
    await until(() => received() === "no");
    pair.peer.end();
    await until(() => handler.closes === 1);
    assert.equal(handler.heads.length, 0);
    assert.equal(handler.errors.length, 1);
  });

  it("hands over what it has read ahead", async () => {
    const { pair, server, handler } = await serverLab();
    pair.peer.write("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nearly bytes");
    await until(() => handler.heads.length === 1);
    assert.equal(server.detach()?.toString(), "early bytes");
    assert.equal(labs.at(-1)?.deadlines.size, 0);
  });

  it("hands a connection over whose first head is HTTP/2's preface, in whatever pieces", async () => {
    for (const at of [0, 3, 14, 18, 20]) {
      const { pair, handler } = await serverLab();
      pair.peer.write(PREFACE.slice(0, at));
      pair.peer.write(PREFACE.slice(at));
      await until(() => handler.prefaces.length === 1);
      assert.ok("SM\r\n\r\n".startsWith(handler.prefaces[0] ?? "?"));
      assert.deepEqual(handler.errors, []);
    }
  });

  it("takes no preface behind a request", async () => {
    const { pair, handler, answer } = await serverLab();
    pair.peer.write(GET);
    await until(() => handler.complete === 1);
    answer("HTTP/1.1 204 No Content\r\n\r\n");
    pair.peer.write(PREFACE);
    await until(() => handler.errors.length === 1);
    assert.deepEqual(handler.prefaces, []);
  });
});
