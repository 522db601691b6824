/** A request that the registry refuses: HTTP status, reason, and the path of the field that is to blame. */
export class RegistryError extends Error {
  readonly status: number;
  readonly path: string | undefined;

  constructor(status: number, message: string, path?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = "RegistryError";
    this.status = status;
    this.path = path;
  }
}
