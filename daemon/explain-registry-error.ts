import { formatHostPort } from "../src/core/address.ts";
import { StartError } from "./start-error.ts";

/** Where the registry was to run. */
export interface RegistryPlace {
  readonly bind: string;
  readonly port: number;
  readonly tlsPort: number;
  readonly dataDir: string;
}

/** Why the registry of `hostmesh up` did not start, with what to do about it; an error of another kind as it is. */
export function explainRegistryError(cause: unknown, place: RegistryPlace): unknown {
  if (!(cause instanceof Error)) return cause;
  const { bind, port, tlsPort, dataDir } = place;
  const code = "code" in cause ? cause.code : "";
  if (code === "EADDRINUSE" && "port" in cause && cause.port === tlsPort && tlsPort !== port) {
    return new StartError(`the registry's TLS port ${tlsPort} is taken`, {
      remedy: "stop what runs there, or choose with --set registry.tlsPort=PORT",
      cause,
    });
  }
  if (code === "EADDRINUSE") {
    return new StartError(`the registry's port ${formatHostPort(bind, port)} is taken`, {
      remedy: "stop what runs there (another hostmesh?), or choose with --set registry.port=PORT",
      cause,
    });
  }
  if (/database is locked/.test(cause.message)) {
    return new StartError(`another registry uses the data folder ${dataDir}`, {
      remedy: "stop it first, or name another folder with --data DIR",
      cause,
    });
  }
  if (code === "EACCES" || code === "EROFS" || code === "ENOTDIR" || code === "EEXIST") {
    return new StartError(`the data folder ${dataDir} cannot be used: ${code}`, {
      remedy: "name another folder with --data DIR",
      cause,
    });
  }
  return cause;
}
