/** Exit codes of `hostmesh`, also listed in `--help` and docs/cli.md. */
export const EXIT = {
  ok: 0,
  failure: 1,
  /** Wrong usage or invalid settings; nothing was done. */
  usage: 2,
  /** `hostmesh check` and `hostmesh iptables check` found a problem. */
  problem: 3,
  /** `hostmesh analyze` could not read a file, as istioctl (sysexits' EX_DATAERR). */
  unreadable: 65,
  /** `hostmesh analyze` found something, as istioctl. */
  findings: 79,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A failure that is explained to the user in one line, with what to do about it where that is known. */
export class CliError extends Error {
  readonly exitCode: ExitCode;
  readonly remedy: string | undefined;

  constructor(
    message: string,
    options: { exitCode?: ExitCode; remedy?: string; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "CliError";
    this.exitCode = options.exitCode ?? EXIT.failure;
    this.remedy = options.remedy;
  }
}
