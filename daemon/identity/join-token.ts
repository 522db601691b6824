import { readFile } from "node:fs/promises";

/** What proves to the registry, once, which host this is. */
export type JoinToken =
  | {
      readonly kind: "one-time";
      readonly text: string;
      /** SHA-256 (lower-case hex) of the registry's root certificate in DER. */
      readonly anchorHash: string;
    }
  /** A projected service-account token (JWT): it says nothing of the registry. */
  | { readonly kind: "service-account"; readonly text: string };

const ONE_TIME = /^hm1\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.([0-9a-f]{64})$/;
/** JWS compact serialisation, RFC 7515 section 7.1. */
const JWT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/;
const MAX_LENGTH = 16_384;

/** Reads a join token; null where the text is none. */
export function parseJoinToken(text: string): JoinToken | null {
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH) return null;
  const anchorHash = ONE_TIME.exec(trimmed)?.[1];
  if (anchorHash !== undefined) return { kind: "one-time", text: trimmed, anchorHash };
  return JWT.test(trimmed) ? { kind: "service-account", text: trimmed } : null;
}

/** Reads the token of a file; null: there is no such file, or it is empty. Rejects where it holds something else. */
export async function readJoinToken(path: string): Promise<JoinToken | null> {
  const text = await readIfThere(path);
  if (text.trim() === "") return null;
  const token = parseJoinToken(text);
  // What the file holds may be a secret, so it is not repeated.
  if (token === null) throw new Error(`${path} holds no join token`);
  return token;
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
    throw error;
  }
}
