import { readFile } from "node:fs/promises";

/** How etcd is reached, and where in it the registry keeps its state. */
export interface EtcdOptions {
  /** Base URLs of members, all http or all https; tried in turn. */
  readonly endpoints: readonly string[];
  /** Begins every key, and ends in `/`; registries with the same one are one registry. */
  readonly prefix: string;
  /** PEM of the authority of the members' certificates; empty: the system's. */
  readonly caFile: string;
  /** PEM of a client certificate and its key; both empty: none is shown. */
  readonly certFile: string;
  readonly keyFile: string;
  /** Empty: no login. */
  readonly username: string;
  /** File with the password of that user. */
  readonly passwordFile: string;
  /** After how long without a sign of life another registry leads. */
  readonly leaseMs: number;
  /** How often the leader compacts the history of etcd; 0: etcd does that itself. */
  readonly compactMs: number;
}

/** What the client shows, as it was read from the files. */
export interface EtcdCredentials {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly login?: { readonly name: string; readonly password: string };
}

/** Rejects with the setting and the file where one cannot be read, or two that belong together are not both there. */
export async function readCredentials(options: EtcdOptions): Promise<EtcdCredentials> {
  const { caFile, certFile, keyFile, username, passwordFile } = options;
  together("registry.etcdCertFile", certFile, "registry.etcdKeyFile", keyFile);
  together("registry.etcdUsername", username, "registry.etcdPasswordFile", passwordFile);
  const ca = await readSetting("registry.etcdCaFile", caFile);
  const cert = await readSetting("registry.etcdCertFile", certFile);
  const key = await readSetting("registry.etcdKeyFile", keyFile);
  const password = await readSetting("registry.etcdPasswordFile", passwordFile);
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null || key === null ? {} : { cert, key }),
    ...(password === null ? {} : { login: { name: username, password: password.trim() } }),
  };
}

function together(one: string, a: string, other: string, b: string): void {
  if ((a === "") !== (b === ""))
    throw new Error(`${one} and ${other} belong together: one is not set`);
}

async function readSetting(setting: string, path: string): Promise<string | null> {
  if (path === "") return null;
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code = "unreadable" } = cause as NodeJS.ErrnoException;
    throw new Error(`${setting}: ${path} cannot be read (${code})`, { cause });
  }
}
