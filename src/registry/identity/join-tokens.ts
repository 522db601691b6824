import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { join } from "node:path";
import * as z from "zod";
import { RegistryError } from "../registry-error.ts";
import { readPrivateFile, writePrivateFile } from "./private-file.ts";

/**
 * One-time join tokens: `hm1.<id>.<secret>.<sha256 of the registry's root>`. The secret has 256 random bits, of which
 * the registry keeps the SHA-256 alone; the last part lets the joiner know the registry at first contact.
 */
export interface JoinTokensOptions {
  /** `<dataDir>/ca`, which exists. */
  readonly folder: string;
  readonly wall: () => number;
  readonly maxTokens?: number;
}

/** Why a token is not taken; the same words for "wrong secret" and "unknown" would help nobody who has neither. */
export type TokenRefusal = "malformed" | "unknown" | "expired" | "replayed" | "other_host";

const schema = z.object({
  id: z.string(),
  /** SHA-256 of the secret, hex. */
  secretHash: z.string(),
  /** Null: any host. */
  host: z.string().nullable(),
  expiresMs: z.number(),
  usedMs: z.number().nullable(),
  /** SHA-256 of the root that the token names, hex. */
  anchorId: z.string(),
});
type StoredToken = z.infer<typeof schema>;

const TOKEN = /^hm1\.([0-9a-f]{16})\.([A-Za-z0-9_-]{43})\.[0-9a-f]{64}$/;
const MAX_TOKENS = 10_000;
const NOBODY = Buffer.alloc(32);

/** Tokens that were made and have not expired; those that were used stay until then, so that a replay is known as one. */
export class JoinTokens {
  readonly #options: JoinTokensOptions;
  readonly #path: string;
  readonly #tokens = new Map<string, StoredToken>();
  #writing: Promise<void> = Promise.resolve();

  private constructor(options: JoinTokensOptions) {
    this.#options = options;
    this.#path = join(options.folder, "join-tokens.json");
  }

  /** Rejects where the file is there and cannot be read: a used token must not become new. */
  static async open(options: JoinTokensOptions): Promise<JoinTokens> {
    const tokens = new JoinTokens(options);
    const content = await readPrivateFile(tokens.#path);
    try {
      const stored = content === null ? [] : z.array(schema).parse(JSON.parse(content));
      for (const token of stored) tokens.#tokens.set(token.id, token);
    } catch (cause) {
      throw new Error(`the list of join tokens ${tokens.#path} is malformed`, { cause });
    }
    return tokens;
  }

  /** Resolves with the token's text, of which nothing is kept, when it is on the disk. */
  async create(host: string | null, ttlMs: number, anchorId: string): Promise<string> {
    this.#prune();
    if (this.#tokens.size >= (this.#options.maxTokens ?? MAX_TOKENS)) {
      throw new RegistryError(429, "too many join tokens are valid; wait for some to expire");
    }
    const id = randomBytes(8).toString("hex");
    const secret = randomBytes(32);
    const expiresMs = this.#options.wall() + ttlMs;
    const secretHash = sha256(secret).toString("hex");
    this.#tokens.set(id, { id, secretHash, host, expiresMs, usedMs: null, anchorId });
    await this.#save();
    return `hm1.${id}.${secret.toString("base64url")}.${anchorId}`;
  }

  /**
   * Uses a token up for this host. Resolves with null when that is on the disk, or with the reason of a refusal. Of
   * several at once, one gets it.
   */
  async redeem(text: string, host: string): Promise<TokenRefusal | null> {
    const [, id = "", secret = ""] = TOKEN.exec(text) ?? [];
    if (id === "") return "malformed";
    const token = this.#tokens.get(id);
    const expected = token === undefined ? NOBODY : Buffer.from(token.secretHash, "hex");
    // Compared for unknown ones too, so that the time tells nothing.
    const isRight = timingSafeEqual(sha256(Buffer.from(secret, "base64url")), expected);
    if (token === undefined || !isRight) return "unknown";
    if (token.usedMs !== null) return "replayed";
    if (this.#options.wall() >= token.expiresMs) return "expired";
    if (token.host !== null && token.host !== host) return "other_host";
    this.#tokens.set(id, { ...token, usedMs: this.#options.wall() });
    await this.#save();
    return null;
  }

  /** Takes back the unused tokens that name this root; resolves with their number. */
  async revoke(anchorId: string): Promise<number> {
    const voided = [...this.#tokens.values()].filter(
      (token) => token.anchorId === anchorId && token.usedMs === null,
    );
    for (const { id } of voided) this.#tokens.delete(id);
    if (voided.length > 0) await this.#save();
    return voided.length;
  }

  /** How many can still be used. */
  count(): number {
    const nowMs = this.#options.wall();
    return [...this.#tokens.values()].filter(
      ({ usedMs, expiresMs }) => usedMs === null && expiresMs > nowMs,
    ).length;
  }

  async close(): Promise<void> {
    await this.#writing.catch(() => {});
  }

  /** Writes run one after the other; each holds all that was changed before it began. */
  #save(): Promise<void> {
    const write = () =>
      writePrivateFile(this.#path, `${JSON.stringify([...this.#tokens.values()])}\n`);
    const saved = this.#writing.then(write, write);
    this.#writing = saved;
    return saved.catch((cause: unknown) => {
      throw new RegistryError(503, "the join tokens could not be written", undefined, cause);
    });
  }

  #prune(): void {
    const nowMs = this.#options.wall();
    for (const [id, { expiresMs }] of this.#tokens) {
      if (expiresMs <= nowMs) this.#tokens.delete(id);
    }
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
