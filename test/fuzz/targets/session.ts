import assert from "node:assert/strict";
import { setImmediate as turn } from "node:timers/promises";
import { FakeClock } from "../../../src/core/clock.ts";
import { Deadlines } from "../../../src/core/deadlines.ts";
import { Conn } from "../../../src/http/conn.ts";
import { CLIENT_PREFACE, NO_ERROR } from "../../../src/http/h2/codes.ts";
import { ConnectionError } from "../../../src/http/h2/errors.ts";
import { ServerSession } from "../../../src/http/h2/server-session.ts";
import { DEFAULT_SESSION_LIMITS } from "../../../src/http/h2/settings.ts";
import type { Stream, StreamHandler } from "../../../src/http/h2/stream.ts";
import { randomChunks } from "../../helpers/chunks.ts";
import { frame } from "../../helpers/h2-frames.ts";
import { MemorySocket } from "../memory-socket.ts";
import { mutateFrames } from "../mutate-frames.ts";
import { kindOf, scaleOf } from "../outcome.ts";
import { below, randomOf } from "../random-of.ts";
import { Granted, StrictClient } from "../session-peer.ts";
import type { Target } from "../target.ts";

const PREFACE = Buffer.from(CLIENT_PREFACE, "latin1");
/** SETTINGS, and the acknowledgement of the server's: without them hardly an input would get anywhere. */
const GREETING = Buffer.concat([PREFACE, frame(4, 0, 0), frame(4, 1, 0)]);

/** Small, so that they are met. */
const LIMITS = {
  ...DEFAULT_SESSION_LIMITS,
  ...{ headBytes: 4_096, headerCount: 40, maxStreams: 16, wastedStreams: 20 },
  ...{ streamWindowBytes: 65_535, connectionWindowBytes: 65_535, unsentBytes: 16_384 },
  // A client that says nothing is given up, so that every connection ends.
  pingIntervalMs: 20_000,
};
const ANSWER = Buffer.alloc(40_000, "answer ");
/** Behind the input: time for every limit to pass. */
const MOST_TURNS = 100;
const TURN_MS = 3_000;

/** What an endpoint may do with a request; the number of the stream says which. */
class Exchange implements StreamHandler {
  readonly #stream: Stream;
  readonly #way: number;
  #hasHead = false;
  #isComplete = false;
  isOver = false;

  constructor(stream: Stream) {
    this.#stream = stream;
    this.#way = (stream.id >> 1) % 6;
  }

  onHead(_fields: string[], last: boolean): void {
    assert.ok(!this.#hasHead && !this.isOver, "a second head");
    this.#hasHead = true;
    this.#isComplete = last;
    if (this.#way === 4) this.#stream.reset(NO_ERROR);
    else if (this.#way === 5) this.#answer();
    else if (last) this.#complete();
  }

  onInterim(): void {
    assert.fail("an interim response to a server");
  }

  onData(_chunk: Buffer, start: number, end: number, last: boolean): void {
    this.#mustExpect("content");
    this.#isComplete = last;
    if (this.#way !== 1) this.#stream.consumed(end - start);
    if (last) this.#complete();
  }

  onTrailers(): void {
    this.#mustExpect("trailers");
    this.#isComplete = true;
    this.#complete();
  }

  onReset(): void {
    assert.ok(!this.isOver, "the end, twice");
    this.isOver = true;
  }

  onWritable(): void {
    assert.ok(!this.isOver, "writable behind the end");
  }

  #mustExpect(what: string): void {
    assert.ok(this.#hasHead && !this.isOver && !this.#isComplete, `${what} where none may be`);
  }

  #complete(): void {
    if (this.#way < 4 && this.#way !== 2) this.#answer();
  }

  #answer(): void {
    const stream = this.#stream;
    stream.sendHead([":status", "200", "x-way", `${this.#way}`], false);
    stream.sendData(ANSWER, 0, this.#way === 3 ? ANSWER.length : 10, this.#way !== 0);
    if (this.#way === 0) stream.sendTrailers(["grpc-status", "0"]);
  }
}

/** A server's session, and all that it told. */
class Lab {
  readonly clock = new FakeClock(1_000);
  readonly deadlines = new Deadlines(this.clock);
  readonly socket: MemorySocket;
  readonly session: ServerSession;
  readonly exchanges: Exchange[] = [];
  ends = 0;

  constructor(isSlow: boolean) {
    this.socket = new MemorySocket(isSlow);
    const nobody = { onBytes() {}, onFin() {}, onDrain() {}, onClose() {} };
    const handler = {
      onStream: (stream: Stream) => {
        const exchange = new Exchange(stream);
        this.exchanges.push(exchange);
        return exchange;
      },
      onRefused: () => undefined,
      onSessionEnd: () => {
        this.ends += 1;
      },
    };
    const deps = { limits: LIMITS, clock: this.clock, deadlines: this.deadlines };
    this.session = new ServerSession(
      new Conn(nobody, () => this.socket.socket, false),
      handler,
      deps,
    );
  }

  async send(chunks: readonly Buffer[]): Promise<void> {
    for (const chunk of chunks) {
      if (this.socket.destroyed) return;
      this.socket.push(chunk);
      if (chunks.length < 10) await turn();
    }
    await turn();
  }

  /** The client says no more, and then time passes. */
  async end(byFin: boolean): Promise<number> {
    if (byFin && !this.socket.destroyed) this.socket.push(null);
    let turns = 0;
    for (; turns < MOST_TURNS && this.session.state !== "closed"; turns++) {
      await turn();
      this.clock.advance(TURN_MS);
      this.deadlines.tick();
    }
    await turn();
    return turns;
  }
}

function checkEnd(lab: Lab): void {
  const { session, deadlines, exchanges } = lab;
  assert.equal(session.state, "closed", "it does not end");
  assert.equal(lab.ends, 1, "ends that were told");
  assert.equal(session.openStreams, 0, "streams are left over");
  assert.equal(deadlines.size, 0, "a deadline is left over");
  assert.equal(session.queuedBytes, 0, "bytes are left over");
  const { error } = session;
  if (error !== null && !(error instanceof ConnectionError)) throw error;
  assert.ok(exchanges.length <= 200 + LIMITS.wastedStreams, `${exchanges.length} requests`);
}

/**
 * A whole `ServerSession`: never fails by itself, sends what a strict client accepts and no more than it granted, and ends
 * with nothing left over, be it by an error, by the client's FIN or by the passing of time.
 */
export const session: Target = {
  name: "session",
  mutate: mutateFrames,
  async run(input) {
    const random = randomOf(input);
    const isRaw = input.subarray(0, 3).equals(PREFACE.subarray(0, 3));
    const bytes = isRaw ? input : Buffer.concat([GREETING, input]);
    const lab = new Lab(random() < 0.3);
    try {
      const longest = random() < 0.3 ? 1 + below(random, 200) : bytes.length;
      const chunks = randomChunks(bytes, random, longest);
      const drainsAt = random() < 0.2 ? below(random, chunks.length + 1) : chunks.length;
      await lab.send(chunks.slice(0, drainsAt));
      if (drainsAt < chunks.length) lab.session.drain();
      await lab.send(chunks.slice(drainsAt));
      const turns = await lab.end(random() < 0.7);
      checkEnd(lab);
      const granted = new Granted(bytes.subarray(PREFACE.length));
      const client = new StrictClient(granted, Buffer.concat(lab.socket.sent));
      const kinds = new Set(client.lines.map((line) => line.split(" ", 1)[0]));
      const error = kindOf(lab.session.error?.message ?? "");
      return `${[...kinds].sort().join()} ${scaleOf(lab.exchanges.length)} ${error} ${scaleOf(turns)}`;
    } finally {
      lab.deadlines.close();
      lab.socket.destroy();
    }
  },
};
