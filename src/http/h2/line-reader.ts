import { connectionOptions, NO_TOKENS, trimmed } from "../headers.ts";
import { knownName, type Meaning } from "./field-names.ts";

/** Turns field lines of HTTP/1.1 into fields of HTTP/2, and remembers what HTTP/2 has no field for. */
export class LineReader {
  host = "";
  upgrade = "";
  /** Fields that Connection declares to be for one hop, lower-case. */
  connectionTokens = NO_TOKENS;
  /** Where the first line with an id begins, and how many texts `fields` had there; -1 without any. */
  idsAt = -1;
  idsFrom = -1;

  /** Appends the fields of the lines from `from` up to the empty line, or up to the end of the text. */
  read(text: string, from: number, fields: string[]): void {
    this.host = "";
    this.upgrade = "";
    this.connectionTokens = NO_TOKENS;
    this.idsAt = -1;
    let at = from;
    while (at < text.length && text.charCodeAt(at) !== CR) {
      const colon = text.indexOf(":", at);
      const lineEnd = text.indexOf("\r", colon);
      const { lower, meaning } = knownName(text.slice(at, colon));
      const value = valueAt(text, colon + 1, lineEnd);
      if (meaning === "id" && this.idsAt === -1) {
        this.idsAt = at;
        this.idsFrom = fields.length;
      }
      if (isPassed(meaning)) fields.push(lower, value);
      else this.#take(meaning, value, fields);
      at = lineEnd + 2;
    }
  }

  /** Was there nothing that concerns the other fields? */
  get isPlain(): boolean {
    return this.host === "" && this.upgrade === "" && this.connectionTokens.length === 0;
  }

  #take(meaning: Meaning, value: string, fields: string[]): void {
    if (meaning === "host") this.host = value;
    else if (meaning === "upgrade") this.upgrade = value;
    else if (meaning === "te" && value.toLowerCase() === "trailers") fields.push("te", "trailers");
    // The usual value, which goes with TE, names no field that is there.
    else if (meaning === "connection" && value !== "te") connectionOptions(value, this);
  }
}

function isPassed(meaning: Meaning): boolean {
  return meaning === "other" || meaning === "id" || meaning === "length" || meaning === "cookie";
}

const CR = 0x0d;
const SPACE = 0x20;

/** `trimmed`, for the usual form of one space before the value in few steps. */
function valueAt(text: string, from: number, to: number): string {
  const isUsual =
    text.charCodeAt(from) === SPACE &&
    text.charCodeAt(from + 1) > SPACE &&
    text.charCodeAt(to - 1) > SPACE;
  return isUsual ? text.slice(from + 1, to) : trimmed(text, from, to);
}

/** `fields` without those of these lower-case names. */
export function fieldsWithout(fields: readonly string[], names: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at < fields.length; at += 2) {
    if (!names.includes(fields[at]!)) kept.push(fields[at]!, fields[at + 1]!);
  }
  return kept;
}
