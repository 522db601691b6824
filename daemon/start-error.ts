/** Something did not start for a reason that the user can do something about. */
export class StartError extends Error {
  /** What to do about it, in one line. */
  readonly remedy: string;
  /** The command line or a file that it names is to blame; nothing was started. */
  readonly isUsage: boolean;

  constructor(message: string, options: { remedy: string; isUsage?: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "StartError";
    this.remedy = options.remedy;
    this.isUsage = options.isUsage ?? false;
  }
}
