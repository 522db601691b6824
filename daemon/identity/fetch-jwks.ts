import { MAX_JWKS_KEYS } from "../../src/core/policy.ts";

/** Ten times the largest document of a well-known issuer. */
const BODY_BYTES = 1_048_576;
const HEAD_BYTES = 16_384;

export interface JwksFetch {
  readonly uri: string;
  /** Ends the fetch at any moment. */
  readonly signal: AbortSignal;
}

/**
 * Fetches a JWKS document (RFC 7517 section 5) by http or https, where the system's authorities count. Resolves with
 * its JSON; rejects with the reason, also where what came is no such document. Redirects are not followed: an issuer's
 * keys come from where the policy says.
 */
export async function fetchJwks({ uri, signal }: JwksFetch): Promise<string> {
  const { Agent, request } = await import("undici");
  const agent = new Agent({
    ...{ allowH2: false, connections: 1, pipelining: 1, maxHeaderSize: HEAD_BYTES },
    // The signal ends every phase.
    ...{ headersTimeout: 0, bodyTimeout: 0, connect: { timeout: 0 } },
  });
  try {
    const { statusCode, body } = await request(uri, {
      dispatcher: agent,
      headers: { accept: "application/json", "user-agent": "hostmesh" },
      signal,
    });
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
    return checkJwks(await readAll(body));
  } catch (cause) {
    throw new Error(`no JWKS from ${uri}`, { cause: signal.aborted ? signal.reason : cause });
  } finally {
    await agent.destroy();
  }
}

async function readAll(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > BODY_BYTES) throw new Error(`more than ${BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size).toString("utf8");
}

/** An empty set of keys is a document too: its issuer has withdrawn them all. */
function checkJwks(text: string): string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new Error("not JSON", { cause });
  }
  const keys = isObject(parsed) ? parsed["keys"] : undefined;
  const isSet = Array.isArray(keys) && keys.every((key) => isObject(key) && "kty" in key);
  if (!isSet) throw new Error("no JWKS: a list `keys` of objects with `kty` is missing");
  if (keys.length > MAX_JWKS_KEYS) throw new Error(`more than ${MAX_JWKS_KEYS} keys`);
  return JSON.stringify({ keys });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
