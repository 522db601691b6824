import type { StreamError } from "../../src/http/h2/errors.ts";
import type { FrameHandler } from "../../src/http/h2/frame-handler.ts";

/** A frame as it is on the wire; `payload` as latin1 text, bytes, or a list of octets. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: string | Buffer | readonly number[] = "",
): Buffer {
  const body = typeof payload === "string" ? Buffer.from(payload, "latin1") : Buffer.from(payload);
  const head = Buffer.alloc(9);
  head.writeUIntBE(body.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, body]);
}

/** Writes down what a reader tells, one line a call. Pieces of DATA of one stream in a row are one line where `joins`. */
export class FrameLog implements FrameHandler {
  readonly lines: string[] = [];
  readonly #joins: boolean;
  /** What a method does besides: it may throw. */
  during: (line: string) => void = () => {};
  #data: { streamId: number; text: string; flowBytes: number } | null = null;

  constructor({ joins = false }: { joins?: boolean } = {}) {
    this.#joins = joins;
  }

  onData(
    streamId: number,
    chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void {
    const before = this.#data;
    const isMore = this.#joins && before?.streamId === streamId;
    const data = isMore ? before : { streamId, text: "", flowBytes: 0 };
    data.text += chunk.toString("latin1", start, end);
    data.flowBytes += flowBytes;
    const line = `data ${streamId} ${JSON.stringify(data.text)} flow ${data.flowBytes}${last ? " last" : ""}`;
    if (isMore) this.lines.pop();
    this.#add(line);
    this.#data = last ? null : data;
  }

  onHeaders(
    streamId: number,
    block: Buffer,
    start: number,
    end: number,
    last: boolean,
    dependsOn: number,
  ): void {
    const text = JSON.stringify(block.toString("latin1", start, end));
    this.#add(`headers ${streamId} ${text} on ${dependsOn}${last ? " last" : ""}`);
  }

  onPriority(streamId: number, dependsOn: number): void {
    this.#add(`priority ${streamId} on ${dependsOn}`);
  }

  onReset(streamId: number, code: number): void {
    this.#add(`reset ${streamId} ${code}`);
  }

  onSettings(ids: readonly number[], values: readonly number[]): void {
    this.#add(`settings ${ids.map((id, at) => `${id}=${values[at]}`).join(" ")}`);
  }

  onSettingsAck(): void {
    this.#add("settings ack");
  }

  onPing(isAck: boolean, chunk: Buffer, start: number): void {
    this.#add(`ping ${isAck ? "ack " : ""}${chunk.toString("hex", start, start + 8)}`);
  }

  onGoaway(lastStreamId: number, code: number, debug: string): void {
    this.#add(`goaway ${lastStreamId} ${code} ${JSON.stringify(debug)}`);
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.#add(`window ${streamId} ${increment}`);
  }

  onPushPromise(streamId: number): void {
    this.#add(`push ${streamId}`);
  }

  onUnknown(type: number): void {
    this.#add(`unknown ${type}`);
  }

  onStreamError(error: StreamError): void {
    this.#add(`stream error ${error.streamId} ${error.code} ${error.message}`);
  }

  #add(line: string): void {
    this.#data = null;
    this.lines.push(line);
    this.during(line);
  }
}
