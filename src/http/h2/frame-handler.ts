import type { StreamError } from "./errors.ts";

/**
 * Told what a peer's frames say (RFC 9113 section 6). Bytes are only valid during the call. A method may throw
 * `StreamError`, which comes back by `onStreamError`, or `ConnectionError`, which ends the reading.
 */
export interface FrameHandler {
  /**
   * A piece of a DATA frame as it arrives; it may be empty. `flowBytes` is what it takes of the windows: padding and the
   * pad length octet count too. `last` comes with the final piece of a frame with END_STREAM. Of a frame that a
   * `StreamError` was thrown for the rest is handed over all the same: it counts for the connection's window.
   */
  onData(
    streamId: number,
    chunk: Buffer,
    start: number,
    end: number,
    flowBytes: number,
    last: boolean,
  ): void;
  /** A whole field block. `dependsOn` is -1 without a priority. */
  onHeaders(
    streamId: number,
    block: Buffer,
    start: number,
    end: number,
    last: boolean,
    dependsOn: number,
  ): void;
  onPriority(streamId: number, dependsOn: number): void;
  onReset(streamId: number, code: number): void;
  onSettings(ids: readonly number[], values: readonly number[]): void;
  onSettingsAck(): void;
  /** 8 octets from `start`. */
  onPing(isAck: boolean, chunk: Buffer, start: number): void;
  /** `debug` is cut to 256 latin1 characters. */
  onGoaway(lastStreamId: number, code: number, debug: string): void;
  /** Of the connection where `streamId` is 0. An increment of 0 is for the handler to judge. */
  onWindowUpdate(streamId: number, increment: number): void;
  /** Its field block is not decoded, so the connection cannot go on: must throw `ConnectionError`. */
  onPushPromise(streamId: number): void;
  /** A frame of a type that is ignored. */
  onUnknown(type: number): void;
  /** The reader or a method of the handler threw it; the next frame is read. */
  onStreamError(error: StreamError): void;
}
