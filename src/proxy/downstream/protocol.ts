import { LRUCache } from "lru-cache";
import type { AppProtocol } from "../../core/model.ts";

/** How the proxy treats a connection: request by request, or as bytes. */
export type Treatment = "http" | "opaque";

/** Longest request line that is waited for before the bytes count as something else. */
const LINE_BYTES = 8_192;
const REQUEST_LINE = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+ \S+ HTTP\/1\.[01]$/;
const BEGINNING =
  /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}( \S*( (H(T(T(P(\/(1(\.[01]?)?)?)?)?)?)?)?)?\r?)?$/;

/** Of a request, not of a protocol that begins with them: none is known. */
const EMPTY_LINES = /^[\r\n]+/;

/**
 * Looks at the first bytes that a client sent. HTTP/1.x is recognised by a whole request line, because
 * single words are not enough: `GET key` is Redis, `CONNECT {` is NATS. `more` asks for more bytes. Like
 * Linkerd's detection it prefers availability: whatever is not certainly HTTP/1.x passes as bytes, the
 * HTTP/2 preface included.
 */
export function classify(text: string): Treatment | "more" {
  // Servers skip empty lines before a request (RFC 9112 section 2.2), so they must not hide one here.
  const bytes = text.replace(EMPTY_LINES, "");
  if (bytes === "") return text.length >= LINE_BYTES ? "opaque" : "more";
  const lineEnd = bytes.indexOf("\r\n");
  if (lineEnd !== -1) return REQUEST_LINE.test(bytes.slice(0, lineEnd)) ? "http" : "opaque";
  if (bytes.length >= LINE_BYTES || bytes.startsWith("PRI *")) return "opaque";
  return BEGINNING.test(bytes) ? "more" : "opaque";
}

/** What a declared protocol asks for; null: it has to be found out. */
export function declaredTreatment(protocol: AppProtocol | undefined): Treatment | null {
  if (protocol === undefined) return null;
  return protocol === "http" ? "http" : "opaque";
}

/**
 * What destinations were found to speak, per worker. HTTP once seen is not overruled by a client that
 * sends something else: one client's garbage must not take request-level treatment from the others. A
 * server that spoke first is certain, and overrules.
 */
export class ProtocolMemory {
  readonly #seen: LRUCache<string, Treatment>;

  constructor(options: { readonly memory: number; readonly memoryTtlMs: number }) {
    this.#seen = new LRUCache({ max: options.memory, ttl: options.memoryTtlMs });
  }

  get(destination: string): Treatment | null {
    return this.#seen.get(destination) ?? null;
  }

  clientSent(destination: string, treatment: Treatment): void {
    if (this.#seen.get(destination) !== "http") this.#seen.set(destination, treatment);
  }

  serverSpokeFirst(destination: string): void {
    this.#seen.set(destination, "opaque");
  }
}
