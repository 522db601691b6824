import assert from "node:assert/strict";
import { afterEach, it } from "node:test";
import { type Random, seeded } from "../../../src/core/random.ts";
import { FRAME_DATA, FRAME_HEADERS } from "../../../src/http/h2/codes.ts";
import { ConnectionError } from "../../../src/http/h2/errors.ts";
import { frame } from "../../helpers/h2-frames.ts";
import {
  block,
  closeLabs,
  data,
  type Exchange,
  FramePeer,
  get,
  headers,
  post,
  serverLab,
  settings,
  word,
} from "../../helpers/h2-lab.ts";
import { until } from "../../helpers/until.ts";

afterEach(closeLabs);

/** More by `H2_FUZZ_RUNS`; `H2_FUZZ_SEED` repeats one that failed. */
const RUNS = Number(process.env["H2_FUZZ_RUNS"] ?? 150);
const SEED = Number(process.env["H2_FUZZ_SEED"] ?? 1);
const FRAMES = 200;

/** What a client has opened, and of that what it has not ended. */
class Sender {
  readonly #random: Random;
  #lastId = -1;
  #unended: number[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  #upTo(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #open(isEnded: boolean): number {
    this.#lastId += this.#random() < 0.95 ? 2 : 4;
    if (!isEnded) this.#unended.push(this.#lastId);
    return this.#lastId;
  }

  /** A stream that may be sent on; now and then one that may not. */
  #sendable(): number {
    if (this.#unended.length === 0 || this.#random() < 0.002) return this.#any();
    return this.#unended[this.#upTo(this.#unended.length)] as number;
  }

  #any(): number {
    if (this.#lastId < 0) this.#open(true);
    return this.#random() < 0.998 ? 2 * this.#upTo((this.#lastId + 1) / 2) + 1 : this.#upTo(500);
  }

  #end(id: number): number {
    this.#unended = this.#unended.filter((one) => one !== id);
    return id;
  }

  /** One that mostly keeps to the rules: behind the first that does not nothing is read. */
  next(): Buffer {
    const isFirst = this.#lastId < 0;
    switch (isFirst ? 1 : this.#upTo(16)) {
      case 0:
      case 1:
        return headers(this.#open(true), get(`/${this.#upTo(4)}`));
      case 2:
        return headers(this.#open(false), post("content-length", `${this.#upTo(3)}`), false);
      case 3:
      case 4:
        return headers(this.#open(false), post(), false);
      case 5:
      case 6:
      case 7: {
        if (this.#unended.length === 0) return headers(this.#open(true), get());
        const id = this.#sendable();
        const isLast = this.#upTo(4) === 0;
        if (isLast) this.#end(id);
        return data(id, Buffer.alloc(this.#upTo(20) === 0 ? 16_384 : this.#upTo(4)), isLast);
      }
      case 8:
        if (this.#unended.length === 0) return headers(this.#open(true), get());
        return headers(this.#end(this.#sendable()), ["x", "y"]);
      case 9:
        return frame(3, 0, this.#end(this.#any()), word(this.#upTo(15)));
      case 10:
      case 11: {
        const id = this.#upTo(3) === 0 ? 0 : this.#any();
        return frame(8, 0, id, word(this.#random() < 0.995 ? 1 + this.#upTo(100_000) : 0));
      }
      case 12:
        return settings([4, this.#upTo(100_000)], [1, this.#upTo(9_000)]);
      case 13: {
        if (this.#unended.length === 0) return headers(this.#open(true), get());
        const padding = this.#upTo(4);
        return frame(FRAME_DATA, 0x8, this.#sendable(), Buffer.alloc(9, 0).fill(padding, 0, 1));
      }
      case 14: {
        const prefix = Buffer.concat([word(0), Buffer.of(1)]);
        return frame(FRAME_HEADERS, 0x25, this.#open(true), Buffer.concat([prefix, block(get())]));
      }
      default: {
        const isOdd = this.#upTo(100) === 0;
        return frame(isOdd ? this.#upTo(16) : 6, this.#upTo(2), 0, Buffer.alloc(8));
      }
    }
  }
}

/** A handler that does one thing or another with what it is told. */
function whimsical(random: Random): (exchange: Exchange) => void {
  return (exchange) => {
    const { stream } = exchange;
    const whim = random();
    exchange.consumes = whim < 0.7;
    const act = () => {
      const what = random();
      if (what < 0.3) exchange.answer("x".repeat(Math.floor(random() * 100_000)));
      else if (what < 0.4) stream.reset(8);
      else if (what < 0.5) {
        stream.sendHead([":status", "200"], false);
        stream.sendData(Buffer.alloc(40_000), 0, 40_000, false);
        stream.sendTrailers(["a", "b"]);
      } else if (what < 0.6) stream.sendInterim([":status", "103"]);
      else if (what < 0.7) stream.consumed(exchange.bytes);
    };
    exchange.onComplete = act;
    exchange.onWritable = act;
    if (whim < 0.3) setImmediate(act);
  };
}

it("whatever a client sends, a session goes on or ends by a rule, and keeps nothing", async () => {
  for (let run = SEED; run < SEED + RUNS; run++) {
    const random = seeded(run);
    const lab = await serverLab({
      limits: { maxStreams: 20 },
      onExchange: whimsical(random),
    });
    const peer = await FramePeer.greet(lab.port);
    const sender = new Sender(random);
    for (let sent = 0; sent < FRAMES; sent++) {
      peer.send(sender.next());
      if (random() < 0.2) await new Promise(setImmediate);
    }
    peer.send(frame(6, 0, 0, "the end!"));
    const isDone = () => peer.isClosed || peer.lines.includes("ping ack the end!");
    await until(isDone, { what: `an answer to run ${run}` });
    const session = await lab.session();
    const { error } = session;
    assert.ok(error === null || error instanceof ConnectionError, `run ${run}: ${error?.stack}`);
    assert.ok(session.openStreams <= 20, `run ${run}`);
    peer.socket.destroy();
    await until(() => lab.ends.length === 1, { what: `the end of run ${run}` });
    assert.equal(session.queuedBytes, 0, `run ${run}`);
    for (const { stream } of lab.exchanges) assert.ok(stream.isOver, `run ${run}`);
    closeLabs();
  }
});
