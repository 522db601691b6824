import {
  CONNECTION_BAD,
  CONNECTION_CLOSE,
  CONNECTION_KEEP_ALIVE,
  connectionOptions,
  NO_TOKENS,
} from "../headers.ts";
import type { FieldLimits, Framing } from "../message.ts";
import { type FieldTaker, splitFields, takeFields, withoutFields } from "./field-lines.ts";
import { malformed, quoted, type Side } from "./malformed.ts";

/**
 * What request and response heads have in common. It keeps the text of the head: the fields are cut out of
 * it only if somebody asks for them, because forwarding, the common case, needs just the few known ones.
 */
export class ParsedHead {
  minor: 0 | 1;
  passed = "";
  framing: Framing = "none";
  contentLength = -1;
  keepAlive = true;
  upgrade = "";
  connectionTokens: readonly string[] = NO_TOKENS;
  via = "";
  readonly bytes: number;
  /** `CONNECTION_*` bits of all Connection fields. */
  protected options = 0;
  readonly #text: string;
  readonly #fieldsAt: number;
  #fields: readonly string[] | null = null;

  constructor(text: string, fieldsAt: number, minor: 0 | 1) {
    this.#text = text;
    this.#fieldsAt = fieldsAt;
    this.minor = minor;
    this.bytes = text.length;
  }

  get fields(): readonly string[] {
    this.#fields ??= splitFields(this.#text, this.#fieldsAt, this.bytes - 2);
    return this.#fields;
  }

  /** Lets the taker, which is the head itself, have its fields and settles what goes on. */
  protected takeAll(taker: FieldTaker, limits: FieldLimits, side: Side): void {
    const { headerCount } = limits;
    const to = this.bytes - 2;
    this.passed = takeFields(this.#text, this.#fieldsAt, to, taker, headerCount, side);
    if (this.connectionTokens.length > 0) {
      this.passed = withoutFields(this.passed, this.connectionTokens);
    }
  }

  protected takeConnection(value: string, side: Side): void {
    const bits = connectionOptions(value, this);
    if ((bits & CONNECTION_BAD) !== 0) throw malformed(side, `the Connection ${quoted(value)}`);
    this.options |= bits;
  }

  /** RFC 9112 section 9.3; `close` wins over `keep-alive`. */
  protected persists(): boolean {
    if ((this.options & CONNECTION_CLOSE) !== 0) return false;
    return this.minor === 1 || (this.options & CONNECTION_KEEP_ALIVE) !== 0;
  }
}

/** Repeated fields are one list, RFC 9110 section 5.3; one that is empty adds nothing to it (section 5.6.1). */
export function joined(before: string, value: string): string {
  if (value === "") return before;
  return before === "" ? value : `${before}, ${value}`;
}
