import { connect, type NetConnectOpts, type Socket } from "node:net";
import {
  CANCEL,
  CLIENT_PREFACE,
  DEFAULT_WINDOW_BYTES,
  FLAG_ACK,
  FRAME_PING,
  FRAME_RST_STREAM,
  FRAME_SETTINGS,
  FRAME_WINDOW_UPDATE,
  PROTOCOL_ERROR,
  SETTINGS_ENABLE_PUSH,
  SETTINGS_HEADER_TABLE_SIZE,
  SETTINGS_INITIAL_WINDOW_SIZE,
} from "../../src/http/h2/codes.ts";
import { ConnectionError, type StreamError } from "../../src/http/h2/errors.ts";
import type { FrameHandler } from "../../src/http/h2/frame-handler.ts";
import { FrameReader } from "../../src/http/h2/frame-reader.ts";
import { HpackDecoder } from "../../src/http/h2/hpack/decoder.ts";
import { FRAME_LIMITS, TABLE_LIMITS } from "../h2/codec-limits.ts";
import { frame, octets, settingsPayload } from "../h2/frame-text.ts";
import { UNARY } from "../h2/request.ts";
import type { LoadJob, Target } from "../model.ts";
import { H2Lane } from "./h2-lane.ts";
import { type H2Protocol, H2Requests } from "./h2-streams.ts";
import type { Carrier, CarrierOwner } from "./lane.ts";

/** Windows are so wide that they hold up no answer, and are opened again when half is used. */
const STREAM_WINDOW = 1_048_576;
const WINDOW = 16 * STREAM_WINDOW;
const GREETING =
  CLIENT_PREFACE +
  frame(
    FRAME_SETTINGS,
    0,
    0,
    settingsPayload([SETTINGS_ENABLE_PUSH, 0], [SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW]),
  ) +
  windowUpdate(0, WINDOW - DEFAULT_WINDOW_BYTES);

/** Large enough that bodies of 1 MiB need few reads; one for all connections, since no byte is kept. */
const buffer = Buffer.allocUnsafeSlow(262_144);

/**
 * A connection of the load over HTTP/2, which carries a request in each of its lanes. It reads with the codec of hostmesh and
 * writes frames as texts; what is sent in answer to one read leaves in one write.
 */
export class H2Connection implements Carrier, FrameHandler {
  readonly group: number;
  readonly lanes: readonly H2Lane[];
  hasServed = false;
  reason = "";
  readonly #owner: CarrierOwner;
  readonly #socket: Socket;
  readonly #reader = new FrameReader(this, FRAME_LIMITS);
  readonly #decoder = new HpackDecoder(TABLE_LIMITS);
  readonly #requests: H2Requests;
  readonly #asked = new Map<number, H2Lane>();
  #state: "opening" | "open" | "leaving" | "gone" = "opening";
  readonly #since = performance.now();
  #nextId = 1;
  #taken = 0;
  #out = "";
  #isReading = false;

  constructor(target: Target, group: number, job: LoadJob, owner: CarrierOwner) {
    const protocol = job.protocol as H2Protocol;
    this.group = group;
    this.#owner = owner;
    const { call, messages } = { ...UNARY, ...job };
    const shape = { call, messages };
    this.#requests = new H2Requests(protocol, shape);
    this.lanes = Array.from(
      { length: job.streams ?? 1 },
      () => new H2Lane(this, protocol, job.bodyBytes, shape),
    );
    const { host, port, from } = target;
    const own = from === undefined ? {} : { localAddress: from };
    const onread = { buffer, callback: (length: number) => this.#onRead(length) };
    this.#socket = connect({ host, port, ...own, noDelay: true, onread } as NetConnectOpts);
    this.#socket.once("connect", () => this.#socket.write(GREETING, "latin1"));
    this.#socket.once("end", () => this.#end("closed"));
    this.#socket.once("error", (error: NodeJS.ErrnoException) => this.#onError(error));
    this.#socket.once("close", () => this.#end("closed"));
  }

  /** Does it take requests? */
  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Sends a request of a lane. */
  request(lane: H2Lane, request: string): void {
    const id = this.#nextId;
    this.#nextId += 2;
    lane.streamId = id;
    this.#asked.set(id, lane);
    this.#write(this.#requests.frames(id, request));
  }

  giveUpLate(late: number): void {
    if (this.#state === "opening" && this.#since < late) this.#end("timeout");
    for (const lane of this.#asked.values()) {
      if (lane.since < late) this.#fail(lane, "timeout");
    }
  }

  discard(): void {
    this.#state = "gone";
    this.#socket.destroy();
  }

  #write(frames: string): void {
    if (this.#isReading) this.#out += frames;
    else this.#socket.write(frames, "latin1");
  }

  #onRead(length: number): boolean {
    this.#isReading = true;
    try {
      this.#reader.read(buffer, 0, length);
    } catch (error) {
      this.#end(error instanceof ConnectionError ? "garbled" : "broken");
    }
    this.#isReading = false;
    const out = this.#out;
    this.#out = "";
    if (this.#state === "gone") return false;
    if (out !== "") this.#socket.write(out, "latin1");
    return true;
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#state === "opening") {
      this.reason = error.message;
      this.#end("connect");
    } else {
      const isReset = error.code === "ECONNRESET" || error.code === "EPIPE";
      this.#end(isReset ? "reset" : "broken");
    }
  }

  #end(kind: string): void {
    if (this.#state === "gone") return;
    const isOpening = this.#state === "opening";
    const isLeaving = this.#state === "leaving";
    this.discard();
    const asked = [...this.#asked.values()];
    this.#asked.clear();
    const seen = isOpening && kind === "closed" ? "connect" : kind;
    // A server may end what it said it would, and what carries nothing.
    const isQuiet = !isOpening && asked.length === 0 && (isLeaving || kind !== "garbled");
    this.#owner.onGone(this, isQuiet ? null : seen, asked);
  }

  /** Gives up the request of a lane, and nothing else. */
  #fail(lane: H2Lane, kind: string): void {
    this.#write(frame(FRAME_RST_STREAM, 0, lane.streamId, octets(CANCEL, 4)));
    this.#free(lane);
    this.#owner.onLaneFailed(lane, kind);
    this.#leave();
  }

  #free(lane: H2Lane): void {
    this.#asked.delete(lane.streamId);
    lane.streamId = 0;
  }

  /** Behind the last answer of a connection that the server ends. */
  #leave(): void {
    if (this.#state === "leaving" && this.#asked.size === 0) this.#end("closed");
  }

  #check(lane: H2Lane, problem: string | null, last: boolean): void {
    const wrong = problem ?? (last ? lane.answer.end() : null);
    if (wrong !== null) {
      this.#fail(lane, wrong);
    } else if (last) {
      this.#free(lane);
      this.hasServed = true;
      this.#owner.onAnswer(lane, this.#state === "open");
      this.#leave();
    }
  }

  onHeaders(id: number, block: Buffer, start: number, end: number, last: boolean): void {
    const fields = this.#decoder.decode(block, start, end);
    const lane = this.#asked.get(id);
    if (lane !== undefined) this.#check(lane, lane.answer.fields(fields), last);
  }

  onData(
    id: number,
    _chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void {
    this.#taken += flowBytes;
    if (this.#taken > WINDOW / 2) {
      this.#write(windowUpdate(0, this.#taken));
      this.#taken = 0;
    }
    const lane = this.#asked.get(id);
    if (lane === undefined) return;
    lane.taken += flowBytes;
    if (!last && lane.taken > STREAM_WINDOW / 2) {
      this.#write(windowUpdate(id, lane.taken));
      lane.taken = 0;
    }
    const problem = lane.answer.data(end - start);
    const turn = problem === null && !last ? lane.answer.takeTurn() : null;
    if (turn !== null) this.#write(this.#requests.message(id, turn === "last"));
    this.#check(lane, problem, last);
  }

  onReset(id: number): void {
    const lane = this.#asked.get(id);
    if (lane === undefined) return;
    this.#free(lane);
    this.#owner.onLaneFailed(lane, "stream reset");
    this.#leave();
  }

  onSettings(ids: readonly number[], values: readonly number[]): void {
    const at = ids.lastIndexOf(SETTINGS_HEADER_TABLE_SIZE);
    if (at !== -1) this.#requests.setPeerTableBytes(values[at] as number);
    this.#write(frame(FRAME_SETTINGS, FLAG_ACK, 0, ""));
    // Its limits are known from now on.
    if (this.#state !== "opening") return;
    this.#state = "open";
    this.#owner.onOpen(this);
  }

  onSettingsAck(): void {
    this.#decoder.settingsAcknowledged();
  }

  onPing(isAck: boolean, chunk: Buffer, start: number): void {
    if (isAck) return;
    this.#write(frame(FRAME_PING, FLAG_ACK, 0, chunk.toString("latin1", start, start + 8)));
  }

  onGoaway(lastStreamId: number): void {
    if (this.#state === "open") this.#state = "leaving";
    for (const lane of this.#asked.values()) {
      if (lane.streamId <= lastStreamId) continue;
      this.#free(lane);
      this.#owner.onLaneFailed(lane, "goaway");
    }
    this.#leave();
  }

  onStreamError({ streamId }: StreamError): void {
    const lane = this.#asked.get(streamId);
    if (lane !== undefined) this.#fail(lane, "garbled");
  }

  onPushPromise(): void {
    throw new ConnectionError(PROTOCOL_ERROR, "nothing may be pushed");
  }

  onPriority(): void {}

  /** Requests have little content, which no window holds up. */
  onWindowUpdate(): void {}

  onUnknown(): void {}
}

function windowUpdate(id: number, bytes: number): string {
  return frame(FRAME_WINDOW_UPDATE, 0, id, octets(bytes, 4));
}
