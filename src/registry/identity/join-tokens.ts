import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import * as z from "zod";
import { RegistryError } from "../registry-error.ts";
import { PrivateConflictError, type PrivateStore } from "./private-store.ts";

/**
 * One-time join tokens: `hm1.<id>.<secret>.<sha256 of the registry's root>`. The secret has 256 random bits, of which
 * the registry keeps the SHA-256 alone; the last part lets the joiner know the registry at first contact.
 */
export interface JoinTokensOptions {
  /** Where they are kept; registries that share it share the tokens. */
  readonly store: PrivateStore;
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
/** The entry of the store. */
const NAME = "join-tokens.json";
const MAX_TOKENS = 10_000;
/** In a place that registries share, where entries must be smaller: some 250 bytes a token. */
const MAX_SHARED_TOKENS = 1_000;
/** How often a change is made anew because another registry was faster. */
const MAX_ATTEMPTS = 20;
const NOBODY = Buffer.alloc(32);

type Tokens = Map<string, StoredToken>;

/** A change of the tokens, made on the newest state; it may be made again. */
interface Waiting {
  make(tokens: Tokens): void;
  settle(failure: Error | null): void;
}

/** Tokens that were made and have not expired; those that were used stay until then, so that a replay is known as one. */
export class JoinTokens {
  readonly #options: JoinTokensOptions;
  /** As they were when they were last read or written. */
  #tokens: Tokens;
  #waiting: Waiting[] = [];
  #working: Promise<void> | null = null;

  private constructor(options: JoinTokensOptions, tokens: Tokens) {
    this.#options = options;
    this.#tokens = tokens;
  }

  /** Rejects where the entry is there and cannot be read: a used token must not become new. */
  static async open(options: JoinTokensOptions): Promise<JoinTokens> {
    const entry = await options.store.read(NAME);
    return new JoinTokens(options, readTokens(entry?.content ?? null, options.store));
  }

  /** Resolves with the token's text, of which nothing is kept, when it is stored. */
  async create(host: string | null, ttlMs: number, anchorId: string): Promise<string> {
    const { store, wall } = this.#options;
    const most = store.watch === undefined ? MAX_TOKENS : MAX_SHARED_TOKENS;
    const { maxTokens = most } = this.#options;
    const id = randomBytes(8).toString("hex");
    const secret = randomBytes(32);
    const secretHash = sha256(secret).toString("hex");
    await this.#change((tokens) => {
      const nowMs = wall();
      for (const [old, { expiresMs }] of tokens) if (expiresMs <= nowMs) tokens.delete(old);
      if (tokens.size >= maxTokens) {
        throw new RegistryError(429, "too many join tokens are valid; wait for some to expire");
      }
      tokens.set(id, { id, secretHash, host, expiresMs: nowMs + ttlMs, usedMs: null, anchorId });
    });
    return `hm1.${id}.${secret.toString("base64url")}.${anchorId}`;
  }

  /**
   * Uses a token up for this host. Resolves with null when that is stored, or with the reason of a refusal. Of several at
   * once, one gets it, at whichever registry they ask.
   */
  async redeem(text: string, host: string): Promise<TokenRefusal | null> {
    const [, id = "", secret = ""] = TOKEN.exec(text) ?? [];
    if (id === "") return "malformed";
    const hash = sha256(Buffer.from(secret, "base64url"));
    const { wall } = this.#options;
    return this.#change((tokens) => {
      const token = tokens.get(id);
      const expected = token === undefined ? NOBODY : Buffer.from(token.secretHash, "hex");
      // Compared for unknown ones too, so that the time tells nothing.
      const isRight = timingSafeEqual(hash, expected);
      if (token === undefined || !isRight) return "unknown";
      if (token.usedMs !== null) return "replayed";
      if (wall() >= token.expiresMs) return "expired";
      if (token.host !== null && token.host !== host) return "other_host";
      tokens.set(id, { ...token, usedMs: wall() });
      return null;
    });
  }

  /** Takes back the unused tokens that name this root; resolves with their number. */
  revoke(anchorId: string): Promise<number> {
    return this.#change((tokens) => {
      const voided = [...tokens.values()].filter(
        (token) => token.anchorId === anchorId && token.usedMs === null,
      );
      for (const { id } of voided) tokens.delete(id);
      return voided.length;
    });
  }

  /** How many could still be used when this registry last looked. */
  count(): number {
    const nowMs = this.#options.wall();
    return [...this.#tokens.values()].filter(
      ({ usedMs, expiresMs }) => usedMs === null && expiresMs > nowMs,
    ).length;
  }

  async close(): Promise<void> {
    await this.#working;
  }

  /** Resolves with what the change returns when it is stored; rejects with what it throws, or with 503. */
  #change<T>(make: (tokens: Tokens) => T): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      let result: { readonly value: T } | { readonly thrown: unknown };
      this.#waiting.push({
        make: (tokens) => {
          try {
            result = { value: make(tokens) };
          } catch (thrown) {
            result = { thrown };
          }
        },
        settle: (failure) => {
          if (failure !== null) reject(failure);
          else if ("thrown" in result) reject(result.thrown);
          else resolve(result.value);
        },
      });
      this.#working ??= this.#work();
    });
  }

  /** Those that wait together share one write. */
  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = [];
      const failure = await this.#store(batch).then(
        () => null,
        (cause: unknown) =>
          new RegistryError(503, "the join tokens cannot be reached", undefined, cause),
      );
      for (const { settle } of batch) settle(failure);
    }
    this.#working = null;
  }

  async #store(batch: readonly Waiting[]): Promise<void> {
    const { store } = this.#options;
    for (let attempt = 1; ; attempt++) {
      const entry = await store.read(NAME);
      const tokens = readTokens(entry?.content ?? null, store);
      for (const { make } of batch) make(tokens);
      const content = `${JSON.stringify([...tokens.values()])}\n`;
      try {
        const isChanged = content !== (entry?.content ?? "[]\n");
        if (isChanged) await store.write(NAME, content, entry?.version ?? null);
        this.#tokens = tokens;
        return;
      } catch (error) {
        if (!(error instanceof PrivateConflictError) || attempt === MAX_ATTEMPTS) throw error;
      }
    }
  }
}

function readTokens(content: string | null, store: PrivateStore): Tokens {
  try {
    const stored = content === null ? [] : z.array(schema).parse(JSON.parse(content));
    return new Map(stored.map((token) => [token.id, token]));
  } catch (cause) {
    throw new Error(`the list of join tokens ${store.placeOf(NAME)} is malformed`, { cause });
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
