import { importJWK, type JWK } from "jose";
import { MAX_JWKS_KEYS } from "../../../core/policy.ts";

type VerificationKey = Awaited<ReturnType<typeof importJWK>>;

/** Per kind of key, and curve where it has one. Nothing symmetric is here: a public key never verifies a MAC. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  RSA: ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"],
  "EC P-256": ["ES256"],
  "EC P-384": ["ES384"],
  "EC P-521": ["ES512"],
  "OKP Ed25519": ["EdDSA", "Ed25519"],
};

/** All algorithms that a token may name. */
export const TOKEN_ALGORITHMS: readonly string[] = Object.values(ALGORITHMS).flat();

const MAX_JWKS_LENGTH = 1_048_576;
/** Keys that one token is tried with, where it does not say which is its own. */
const MAX_TRIED = 8;

/** One public key of a document. */
interface PublicKey {
  readonly kid: string;
  readonly algorithms: readonly string[];
  readonly jwk: JWK;
  /** By algorithm; imported at its first use. */
  readonly imported: Map<string, Promise<VerificationKey>>;
}

/** The public keys of a JWKS document (RFC 7517), each with the algorithms that fit it. */
export class TokenKeys {
  readonly #keys: readonly PublicKey[];

  /**
   * Keys that are of no use here (symmetric, for encryption, of an unknown kind) are passed over. Throws a RangeError
   * for a text that is no such document.
   */
  constructor(text: string) {
    const keys = parseKeys(text);
    if (keys.length > MAX_JWKS_KEYS) {
      throw new RangeError(`a JWKS with more than ${MAX_JWKS_KEYS} keys`);
    }
    this.#keys = keys.flatMap(publicKeyOf);
  }

  /** Those that can have signed a token; without a key ID on either side any that fits the algorithm (as Envoy does). */
  candidates(algorithm: string, kid: string): readonly Promise<VerificationKey>[] {
    return this.#keys
      .filter(
        (key) =>
          key.algorithms.includes(algorithm) && (kid === "" || key.kid === "" || key.kid === kid),
      )
      .slice(0, MAX_TRIED)
      .map((key) => importOnce(key, algorithm));
  }
}

function importOnce({ jwk, imported }: PublicKey, algorithm: string): Promise<VerificationKey> {
  const found = imported.get(algorithm);
  if (found !== undefined) return found;
  const promise = importJWK(jwk, algorithm);
  // Whoever awaits it sees the failure too.
  promise.catch(() => {});
  imported.set(algorithm, promise);
  return promise;
}

function parseKeys(text: string): readonly unknown[] {
  if (text.length > MAX_JWKS_LENGTH) {
    throw new RangeError(`a JWKS of more than ${MAX_JWKS_LENGTH} characters`);
  }
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new RangeError("a JWKS that is no JSON", { cause });
  }
  const keys = isObject(parsed) ? parsed["keys"] : undefined;
  if (!Array.isArray(keys)) throw new RangeError("a JWKS without a list of keys");
  return keys;
}

function publicKeyOf(jwk: unknown): PublicKey[] {
  if (!isObject(jwk)) return [];
  const text = (name: string) => (typeof jwk[name] === "string" ? jwk[name] : "");
  const [kty, crv, alg] = [text("kty"), text("crv"), text("alg")];
  const fitting = ALGORITHMS[crv === "" ? kty : `${kty} ${crv}`] ?? [];
  const algorithms = alg === "" ? fitting : fitting.filter((name) => name === alg);
  const operations = jwk["key_ops"];
  const isForOthers =
    (text("use") !== "" && text("use") !== "sig") ||
    (Array.isArray(operations) && !operations.includes("verify"));
  if (algorithms.length === 0 || isForOthers) return [];
  return [{ kid: text("kid"), algorithms, jwk: publicPart(kty, text), imported: new Map() }];
}

/** Without the private members, which somebody may have published. */
function publicPart(kty: string, text: (name: string) => string): JWK {
  if (kty === "RSA") return { kty, n: text("n"), e: text("e") };
  if (kty === "EC") return { kty, crv: text("crv"), x: text("x"), y: text("y") };
  return { kty, crv: text("crv"), x: text("x") };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
