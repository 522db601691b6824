import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Stats } from "node:fs";
import { chmod, lstat, mkdir, open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { splitPem } from "../../src/identity/pem.ts";
import { syncFolder } from "../../src/registry/replace-file.ts";

/** The identity of a host as its folder holds it. */
export interface StoredIdentity {
  /** PEM: the leaf, then the intermediates. */
  readonly chain: string;
  /** PEM, PKCS #8. */
  readonly privateKey: string;
  /** PEM, one certificate each: what the registry's certificate is checked against. */
  readonly anchors: readonly string[];
}

export interface LoadedIdentity {
  readonly identity: StoredIdentity;
  /** The key's file was open to others: the key may be known to them. */
  readonly exposed: boolean;
}

const OWNER_ONLY = 0o600;
const OTHERS = 0o077;
const FILE_BYTES = 1_048_576;

/**
 * Host key, certificate and trust anchors in one folder. Key and certificate are two files, so a change of both is not
 * atomic: each is written whole beside the old one first, and whatever a crash leaves fits together again at the next
 * load.
 */
export class IdentityFiles {
  readonly #folder: string;

  /** @param folder `<dataDir>/identity`; made when something is saved, 0700. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Null where there is none. A key that others can read is closed to them and reported. Rejects with the reason where
   * the files cannot be used: links, another owner, a key that fits no certificate.
   */
  async load(): Promise<LoadedIdentity | null> {
    const chain = await this.#read("host.pem");
    if (chain === null) return null;
    const anchors = await this.anchors();
    let exposed = false;
    // The newer key first: a crash between the two renames leaves it beside the old one.
    for (const name of ["host.key.new", "host.key"]) {
      exposed = (await this.#close(name)) || exposed;
      const privateKey = await this.#read(name);
      if (privateKey === null || !belongTogether(chain, privateKey)) continue;
      if (name !== "host.key") await rename(this.#path(name), this.#path("host.key"));
      return { identity: { chain, privateKey, anchors }, exposed };
    }
    throw new Error(`${this.#path("host.key")} is not the key of host.pem`);
  }

  /** The anchors alone: also without a certificate, where an operator has put them there. */
  async anchors(): Promise<string[]> {
    return splitPem("CERTIFICATE", (await this.#read("anchors.pem")) ?? "");
  }

  async save({ chain, privateKey, anchors }: StoredIdentity): Promise<void> {
    await this.saveAnchors(anchors);
    await this.#write("host.key.new", privateKey);
    await this.#write("host.pem.new", chain);
    await rename(this.#path("host.pem.new"), this.#path("host.pem"));
    await rename(this.#path("host.key.new"), this.#path("host.key"));
    // The join token has served: what a power failure took back could not be had again.
    await syncFolder(this.#folder);
  }

  async saveAnchors(anchors: readonly string[]): Promise<void> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    await this.#write("anchors.pem.new", anchors.map((pem) => `${pem.trim()}\n`).join(""));
    await rename(this.#path("anchors.pem.new"), this.#path("anchors.pem"));
    await syncFolder(this.#folder);
  }

  #path(name: string): string {
    return join(this.#folder, name);
  }

  async #read(name: string): Promise<string | null> {
    const stats = await this.#stat(name);
    return stats === null ? null : readFile(this.#path(name), "utf8");
  }

  async #stat(name: string): Promise<Stats | null> {
    const path = this.#path(name);
    let stats: Stats;
    try {
      stats = await lstat(path);
    } catch (error) {
      if (isMissing(error)) return null;
      throw error;
    }
    if (!stats.isFile()) throw new Error(`${path} is no regular file`);
    if (stats.size > FILE_BYTES) throw new Error(`${path} is larger than ${FILE_BYTES} bytes`);
    const user = process.geteuid?.();
    if (user !== undefined && stats.uid !== user && stats.uid !== 0) {
      throw new Error(`${path} belongs to user ${stats.uid}, and this process runs as ${user}`);
    }
    return stats;
  }

  /** Takes a file's permissions from everyone but its owner. True: somebody else had some. */
  async #close(name: string): Promise<boolean> {
    const stats = await this.#stat(name);
    if (stats === null || (stats.mode & OTHERS) === 0) return false;
    await chmod(this.#path(name), OWNER_ONLY);
    return true;
  }

  /** Whole and on the disk before it takes the place of what was there. */
  async #write(name: string, text: string): Promise<void> {
    const file = await open(this.#path(name), "w", OWNER_ONLY);
    try {
      // A file that a crash left keeps its own permissions when it is opened.
      await file.chmod(OWNER_ONLY);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** False also where one of the two is not what its name says. */
function belongTogether(chain: string, privateKey: string): boolean {
  try {
    return new X509Certificate(chain).checkPrivateKey(createPrivateKey(privateKey));
  } catch {
    return false;
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}
