import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";

/** Of scrypt: 16 MiB and some 50 ms. The secret has 256 bits, so that this guards a file with weaker ones made elsewhere. */
const COST = 16_384;
const BLOCK_SIZE = 8;
const KEY_BYTES = 32;
/** What a users file may ask for. */
const MAX_COST = 131_072;
const MAX_TOKEN_CHARACTERS = 256;

export interface TokenHash {
  readonly cost: number;
  readonly blockSize: number;
  readonly parallel: number;
  readonly salt: Buffer;
  readonly key: Buffer;
}

/** Stands for the hash of users that do not exist, so that asking for one takes as long. */
const NOBODY: TokenHash = {
  ...{ cost: COST, blockSize: BLOCK_SIZE, parallel: 1 },
  ...{ salt: randomBytes(16), key: randomBytes(KEY_BYTES) },
};

/** A token for a user, `NAME.SECRET`, and the hash of it for the users file. */
export async function makeToken(name: string): Promise<{ token: string; hash: string }> {
  const secret = randomBytes(32).toString("base64url");
  const salt = randomBytes(16);
  const options = { cost: COST, blockSize: BLOCK_SIZE, parallel: 1 };
  const key = await derive(secret, { ...options, salt, key: Buffer.alloc(KEY_BYTES) });
  const parts = [COST, BLOCK_SIZE, 1, salt.toString("base64url"), key.toString("base64url")];
  return { token: `${name}.${secret}`, hash: `scrypt$${parts.join("$")}` };
}

/** Null: it is no hash, or would cost more than {@link MAX_COST}. */
export function parseHash(text: string): TokenHash | null {
  const form = /^scrypt\$(\d{1,6})\$(\d{1,2})\$(\d{1,2})\$([\w-]{16,64})\$([\w-]{40,90})$/;
  const [, cost = "", block = "", parallel = "", salt = "", key = ""] = form.exec(text) ?? [];
  const hash = {
    ...{ cost: Number(cost), blockSize: Number(block), parallel: Number(parallel) },
    salt: Buffer.from(salt, "base64url"),
    key: Buffer.from(key, "base64url"),
  };
  const isPower = hash.cost >= 1_024 && Number.isInteger(Math.log2(hash.cost));
  const isCheap = hash.cost <= MAX_COST && hash.blockSize <= 16 && hash.parallel <= 4;
  return isPower && isCheap && hash.blockSize > 0 && hash.parallel > 0 ? hash : null;
}

/** Name and secret; the name is empty where the text is no token. */
export function splitToken(token: string): { name: string; secret: string } {
  const dot = token.lastIndexOf(".");
  if (dot < 1 || token.length > MAX_TOKEN_CHARACTERS) return { name: "", secret: "" };
  return { name: token.slice(0, dot), secret: token.slice(dot + 1) };
}

/** Is it the secret of this hash? Takes as long for a user that does not exist (null). */
export async function isSecretOf(secret: string, hash: TokenHash | null): Promise<boolean> {
  const expected = hash ?? NOBODY;
  const isSame = timingSafeEqual(await derive(secret, expected), expected.key);
  return isSame && hash !== null;
}

function derive(secret: string, hash: TokenHash): Promise<Buffer> {
  const { cost, blockSize, parallel, salt, key } = hash;
  const maxmem = 256 * cost * blockSize;
  const options: ScryptOptions = { cost, blockSize, parallelization: parallel, maxmem };
  return new Promise((resolve, reject) => {
    scrypt(secret, salt, key.length, options, (error, derived) => {
      if (error === null) resolve(derived);
      else reject(error);
    });
  });
}
