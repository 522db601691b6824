import { readFile } from "node:fs/promises";
import { splitPem } from "../../identity/pem.ts";
import { Signer } from "./signer.ts";

/** Files of settings `registry.caFile` and `registry.caKeyFile`. */
export interface GivenFiles {
  readonly caFile: string;
  readonly caKeyFile: string;
}

/**
 * Reads an authority that operators made. Rejects with an error that names the setting and the file: one of the two is
 * missing, they do not belong together, the key is not on P-256, the chain does not reach its root, or no verifier would
 * take what it signs.
 */
export async function readGivenAuthority(
  { caFile, caKeyFile }: GivenFiles,
  trustDomain: string,
  nowMs: number,
): Promise<Signer> {
  if (caFile === "" || caKeyFile === "") {
    throw new Error("registry.caFile and registry.caKeyFile belong together: one is not set");
  }
  const chain = await readSetting("registry.caFile", caFile);
  const privateKey = await readSetting("registry.caKeyFile", caKeyFile);
  let signer: Signer;
  try {
    const certificates = splitPem("CERTIFICATE", chain);
    if (certificates.length === 0) throw new TypeError("it holds no PEM certificate");
    signer = new Signer({ chain: certificates.join(""), privateKey });
  } catch (cause) {
    throw unusable(caFile, caKeyFile, cause instanceof Error ? cause.message : String(cause));
  }
  const fault = signer.faultOf(trustDomain, nowMs);
  if (fault !== null) throw unusable(caFile, caKeyFile, fault);
  return signer;
}

async function readSetting(setting: string, path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    const { code = "unreadable" } = cause as NodeJS.ErrnoException;
    throw new Error(`${setting}: ${path} cannot be read (${code})`, { cause });
  }
}

function unusable(caFile: string, caKeyFile: string, reason: string): Error {
  return new Error(`registry.caFile ${caFile} with ${caKeyFile} is no usable authority: ${reason}`);
}
