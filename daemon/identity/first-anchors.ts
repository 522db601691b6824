import { readFile } from "node:fs/promises";
import { splitPem } from "../../src/identity/pem.ts";
import type { IdentityFiles } from "./identity-files.ts";

/** What the registry is known by has not been put there yet; it is looked for again soon. */
export class AnchorsMissing extends Error {
  override readonly name = "AnchorsMissing";
}

/**
 * What the registry is known by at first contact. `path`: of a file that is read anew each time, as it may come later and
 * change (a mounted ConfigMap does both); empty: what an operator has put into the identity folder.
 */
export async function firstAnchors(
  path: string,
  files: Pick<IdentityFiles, "anchors">,
): Promise<string[]> {
  if (path === "") return files.anchors();
  try {
    const anchors = splitPem("CERTIFICATE", await readFile(path, "utf8"));
    if (anchors.length > 0) return anchors;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "ENOENT") throw error;
  }
  throw new AnchorsMissing(`identity.anchorsFile: there is no certificate in ${path} yet`);
}
