/**
 * The peer broke a rule that leaves no safe way to go on with the connection (RFC 9113 section 5.4.1): it ends with
 * GOAWAY(`code`).
 */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

/** One stream is wrong and ends with RST_STREAM(`code`); the others go on (RFC 9113 section 5.4.2). */
export class StreamError extends Error {
  override readonly name = "StreamError";
  readonly streamId: number;
  readonly code: number;

  constructor(streamId: number, code: number, message: string) {
    super(message);
    this.streamId = streamId;
    this.code = code;
  }
}
