import { LRUCache } from "lru-cache";
import type { AppProtocol } from "../../core/model.ts";
import { FRAME_HEADER_BYTES, FRAME_SETTINGS } from "../../http/h2/codes.ts";

/** How the proxy treats a connection: request by request, or as bytes. */
export type Treatment = "http" | "opaque";

/** Longest request line that is waited for before the parser of requests decides about it. */
const LINE_BYTES = 8_192;
/** What some server takes for a space: all that Python's `split` does. */
const SPACE = String.raw`[\t\v\f\r\x1c-\x20\x85\xa0]`;
const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/**
 * A whole line, without its LF, that a lenient server takes for a request's: Node's reads fields behind the versions of
 * RTSP and ICE, too, and where there is none (HTTP/0.9).
 */
const VERSIONED = new RegExp(`^${TOKEN}${SPACE}.*${SPACE}(?:HTTP|RTSP|ICE)/\\d`, "is");
const UNVERSIONED = new RegExp(
  `^[A-Z-]+${SPACE}+(?:/|\\*|[A-Za-z][A-Za-z0-9+.-]*://)[!-~\\x80-\\xff]*${SPACE}*$`,
);
/** Node's parser takes a CONNECT without a version, or without a target, with fields behind it. `CONNECT {` is NATS. */
const CONNECT = new RegExp(`^CONNECT${SPACE}+[!$%&'()*+,\\-./0-9:;=?@A-Z[\\]_a-z~]*${SPACE}*$`);
/** A line that may yet become one: a method, and with a space behind it anything. */
const BEGINNING = new RegExp(`^${TOKEN}(?:${SPACE}|$)`);
/** Of a request, not of a protocol that begins with them: none is known. */
const EMPTY_LINES = new RegExp(`^(?:\n|${SPACE})+`);

/**
 * Looks at the first bytes that a client sent. HTTP/1.x is recognised by a whole request line, because
 * single words are not enough: `GET key` is Redis, `CONNECT {` is NATS. `more` asks for more bytes.
 *
 * A connection of bytes carries what its client likes, identity headers too. So `opaque` is only what no server takes for
 * HTTP/1.x: bare LF (RFC 9112 section 2.2), white space of other kinds and wrong versions count as HTTP, where the parser
 * refuses them. HTTP/2's preface begins with a line that reads as a request's (RFC 9113 section 3.4).
 */
export function classify(text: string): Treatment | "more" {
  // Servers skip empty lines before a request (RFC 9112 section 2.2), so they must not hide one here.
  const bytes = text.replace(EMPTY_LINES, "");
  const isLong = text.length >= LINE_BYTES;
  if (bytes === "") return isLong ? "http" : "more";
  const lineEnd = bytes.indexOf("\n");
  if (lineEnd !== -1) return isRequestLine(bytes.slice(0, lineEnd)) ? "http" : "opaque";
  if (!BEGINNING.test(bytes)) return "opaque";
  return isLong ? "http" : "more";
}

/** A method with the begin of a target behind it: whoever sends that will hardly mean anything else. */
const PLAIN_BEGINNING = /^[A-Z]+ (?:\/|\*|https?:)/;

/** Methods of which a part may have come: RFC 9110 section 9, RFC 5789. */
const METHODS = "GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split(" ");

/** Of what `classify` wants more of: does it look like a request already, or like a part of its method? */
export function looksLikeRequest(text: string): boolean {
  const bytes = text.replace(EMPTY_LINES, "");
  if (PLAIN_BEGINNING.test(bytes)) return true;
  return METHODS.some((method) => `${method} `.startsWith(bytes));
}

/**
 * Follows the first line of a client whose bytes pass though it may yet become a request's: a client that sends a word and
 * waits must not be kept waiting, and one that hides a request in that way must not get it through.
 */
export class FirstLine {
  #text = "";
  #isClear = false;

  /** May these bytes pass, too? */
  mayPass(chunk: Buffer, start: number, end: number): boolean {
    if (this.#isClear) return true;
    this.#text += chunk.toString("latin1", start, end);
    const found = classify(this.#text);
    if (found !== "more") this.#text = "";
    this.#isClear = found === "opaque";
    return found !== "http";
  }
}

function isRequestLine(line: string): boolean {
  return VERSIONED.test(line) || UNVERSIONED.test(line) || CONNECT.test(line);
}

/** Does an answer to HTTP begin so? A server that gives up an idle connection sends one unasked (408). */
export function isHttpAnswer(chunk: Buffer, end: number): boolean {
  return end >= ANSWER.length && chunk.toString("latin1", 0, ANSWER.length) === ANSWER;
}

const ANSWER = "HTTP/";

/**
 * Does a server of HTTP/2 begin so? It sends its SETTINGS at once (RFC 9113 section 3.4), before the client's preface can be
 * there: that is no protocol in which the server speaks first.
 */
export function isHttp2Greeting(chunk: Buffer, end: number): boolean {
  if (end < FRAME_HEADER_BYTES || chunk[3] !== FRAME_SETTINGS || chunk[4] !== 0) return false;
  const length = chunk.readUIntBE(0, 3);
  return chunk.readUInt32BE(5) === 0 && length % 6 === 0 && length <= MAX_SETTINGS_BYTES;
}

/** More than any server has to say. */
const MAX_SETTINGS_BYTES = 600;

/** What a declared protocol asks for; null: it has to be found out. */
export function declaredTreatment(protocol: AppProtocol | undefined): Treatment | null {
  if (protocol === undefined) return null;
  return protocol === "tcp" || protocol === "tls" ? "opaque" : "http";
}

/**
 * What destinations were found to speak, per worker. It decides only what is dialled ahead, never how a connection is
 * treated: else the first bytes of one client would decide for all others. HTTP once seen is not overruled by a client
 * that sends something else; a server that spoke first overrules.
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
