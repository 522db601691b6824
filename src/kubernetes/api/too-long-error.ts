/** What the API server sends is longer than what is taken at once. The same again would be no shorter. */
export class TooLongError extends Error {
  override readonly name = "TooLongError";

  /** `what`: begins a sentence, as `one event`. */
  constructor(what: string, limitBytes: number) {
    super(`${what} is longer than ${limitBytes} bytes`);
  }
}
