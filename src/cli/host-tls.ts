import { join } from "node:path";
import { IdentityFiles } from "../../daemon/identity/identity-files.ts";
import type { Config } from "../config/schema.ts";
import { registryTlsOptions } from "../registry/registry-tls.ts";
import { CliError } from "./cli-error.ts";

/**
 * How a command on a host with an identity speaks to the registry's TLS port: as that host, of which it reads the key.
 * Undefined: there is no identity in the data folder. Throws a CliError where it may not be read.
 */
export async function hostTls({ dataDir, identity }: Pick<Config, "dataDir" | "identity">) {
  const folder = join(dataDir, "identity");
  try {
    const loaded = await new IdentityFiles(folder).load();
    if (loaded === null) return undefined;
    const { anchors, chain, privateKey } = loaded.identity;
    const credential = { chain, privateKey };
    return registryTlsOptions({ trustDomain: identity.trustDomain, anchors, credential });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CliError(`the identity of this host in ${folder} cannot be used: ${reason}`, {
      cause,
    });
  }
}
