import assert from "node:assert/strict";
import {
  DEFAULT_WINDOW_BYTES,
  INTERNAL_ERROR,
  SETTINGS_INITIAL_WINDOW_SIZE,
} from "../../src/http/h2/codes.ts";
import { ConnectionError } from "../../src/http/h2/errors.ts";
import { FrameReader } from "../../src/http/h2/frame-reader.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { FrameLog } from "../helpers/h2-frames.ts";

const ANY = { frameBytes: 16_384, blockBytes: 1_000_000, continuations: 1_000 };

/** What a client granted by the frames that it sent, at most. */
export class Granted extends FrameLog {
  /** Stream 0 is the connection. */
  readonly #windows = new Map<number, number>();
  #initial: number = DEFAULT_WINDOW_BYTES;

  constructor(bytes: Buffer) {
    super();
    try {
      new FrameReader(this, ANY).read(bytes, 0, bytes.length);
    } catch (error) {
      // What is behind it the server does not read either.
      if (!(error instanceof ConnectionError)) throw error;
    }
  }

  override onWindowUpdate(id: number, increment: number): void {
    this.#windows.set(id, (this.#windows.get(id) ?? 0) + increment);
  }

  override onSettings(ids: readonly number[], values: readonly number[]): void {
    for (const [at, id] of ids.entries()) {
      if (id === SETTINGS_INITIAL_WINDOW_SIZE) this.#initial = Math.max(this.#initial, values[at]!);
    }
  }

  of(id: number): number {
    return (id === 0 ? DEFAULT_WINDOW_BYTES : this.#initial) + (this.#windows.get(id) ?? 0);
  }
}

/** What a client sees of one stream. */
interface Seen {
  head: boolean;
  ended: boolean;
  reset: boolean;
  bytes: number;
}

/** Reads a server's frames as a strict client does, which fails where the server breaks a rule. */
export class StrictClient extends FrameLog {
  readonly #streams = new Map<number, Seen>();
  readonly #decoder = new HpackDecoder({ tableBytes: 4_096, listBytes: 1e6, fields: 1_000 });
  readonly #granted: Granted;
  #bytes = 0;

  constructor(granted: Granted, sent: Buffer) {
    super();
    this.#granted = granted;
    new FrameReader(this, ANY).read(sent, 0, sent.length);
    assert.ok(this.lines.length === 0 || this.lines[0]!.startsWith("settings"), "SETTINGS first");
  }

  #open(id: number): Seen {
    assert.ok(id % 2 === 1, `a server's stream ${id}`);
    const seen = this.#streams.get(id) ?? { head: false, ended: false, reset: false, bytes: 0 };
    this.#streams.set(id, seen);
    assert.ok(!seen.ended && !seen.reset, `a frame behind the end of stream ${id}`);
    return seen;
  }

  override onHeaders(id: number, block: Buffer, start: number, end: number, last: boolean): void {
    const seen = this.#open(id);
    const fields = this.#decoder.decode(block, start, end);
    if (!seen.head) assert.equal(fields[0], ":status");
    else assert.ok(last && !fields.some((name) => name.startsWith(":")), "trailers");
    seen.head = true;
    seen.ended = last;
    super.onHeaders(id, block, start, end, last, -1);
  }

  override onData(
    id: number,
    chunk: Buffer,
    start: number,
    end: number,
    flow: number,
    last: boolean,
  ): void {
    const seen = this.#open(id);
    assert.ok(seen.head, "DATA before HEADERS");
    seen.bytes += flow;
    seen.ended = last;
    this.#bytes += flow;
    assert.ok(seen.bytes <= this.#granted.of(id), `beyond the window of stream ${id}`);
    assert.ok(this.#bytes <= this.#granted.of(0), "beyond the window of the connection");
    super.onData(id, chunk, start, end, flow, last);
  }

  override onReset(id: number, code: number): void {
    const seen = this.#streams.get(id) ?? { head: false, ended: false, reset: false, bytes: 0 };
    // It may come again, for what the client sent meanwhile (RFC 9113 section 5.4.2).
    seen.reset = true;
    this.#streams.set(id, seen);
    super.onReset(id, code);
  }

  override onGoaway(lastStreamId: number, code: number, debug: string): void {
    assert.notEqual(code, INTERNAL_ERROR, "the server has failed");
    super.onGoaway(lastStreamId, code, debug);
  }
}
