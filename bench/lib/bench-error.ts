/** Something that the bench cannot do, told so that whoever started it knows what to do about it. */
export class BenchError extends Error {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "BenchError";
  }
}

/** The command line asks for what cannot be: nothing was started. */
export class UsageError extends BenchError {
  constructor(message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = "UsageError";
  }
}
