import type { CorsRule } from "../../../core/traffic.ts";
import type { RequestHead } from "../../../http/message.ts";
import { TextMatcher } from "../text/text-matcher.ts";
import { fieldValue } from "../text/wire-text.ts";
import { HeadEdits } from "./head-edits.ts";

/** Edits are kept for so many origins. */
const KEPT_ORIGINS = 64;

export type CorsVerdict =
  /** The answer to the request itself; `fields` are name, value, name, value. */
  | { readonly kind: "preflight"; readonly status: 200; readonly fields: string[] }
  /** What has to be done to the response. */
  | { readonly kind: "actual"; readonly edits: HeadEdits };

/**
 * Cross-origin requests as Envoy's filter `cors` treats them (Fetch standard, section 3.2): preflights of origins that
 * are allowed are answered here, and responses to such origins get the headers that let a page read them, in place of
 * those which the application gave. Besides, they say `Vary: Origin`, so that no cache gives one origin's answer to
 * another.
 */
export class Cors {
  readonly #rule: CorsRule;
  readonly #origins: readonly TextMatcher[];
  readonly #methods: readonly string[];
  readonly #headers: readonly string[];
  readonly #exposed: string;
  readonly #edits = new Map<string, HeadEdits>();

  /** An origin or name that cannot be understood is reported and allows nothing. */
  constructor(rule: CorsRule, onProblem: (reason: string) => void = () => {}) {
    this.#rule = rule;
    const names = (list: readonly string[]) => list.filter((name) => isName(name, onProblem));
    this.#methods = names(rule.allowMethods);
    this.#headers = names(rule.allowHeaders);
    this.#exposed = names(rule.exposeHeaders).join(",");
    this.#origins = rule.allowOrigins.flatMap((match) => {
      try {
        return [new TextMatcher(match)];
      } catch (reason) {
        if (!(reason instanceof RangeError)) throw reason;
        onProblem(reason.message);
        return [];
      }
    });
  }

  /** Null: it is no concern of ours, and goes on to the application. */
  judge(head: RequestHead): CorsVerdict | null {
    const origin = fieldValue(head.fields, "origin") ?? "";
    if (origin === "") return null;
    const asked = head.method === "OPTIONS" ? askedMethod(head) : "";
    if (!this.#isAllowed(origin)) {
      if (asked === "" || this.#rule.forwardUnmatched) return null;
      return { kind: "preflight", status: 200, fields: [] };
    }
    if (asked === "") return { kind: "actual", edits: this.#editsFor(origin) };
    return { kind: "preflight", status: 200, fields: this.#preflight(head, origin, asked) };
  }

  /** Like Envoy: what matches a star matches every origin. */
  #isAllowed(origin: string): boolean {
    return this.#origins.some((matcher) => matcher.matches("*") || matcher.matches(origin));
  }

  #preflight(head: RequestHead, origin: string, asked: string): string[] {
    const { maxAgeSeconds } = this.#rule;
    const fields = [...this.#allowance(origin), "vary", "Origin"];
    // With credentials a star means nothing to a browser, so what was asked for is allowed by its name.
    const methods = this.#methods.includes("*") ? asked : this.#methods.join(",");
    if (methods !== "") fields.push("access-control-allow-methods", methods);
    const askedHeaders = fieldValue(head.fields, "access-control-request-headers") ?? "";
    const headers = this.#headers.includes("*") ? askedHeaders : this.#headers.join(",");
    if (headers !== "") fields.push("access-control-allow-headers", headers);
    if (maxAgeSeconds >= 0) fields.push("access-control-max-age", String(maxAgeSeconds));
    return fields;
  }

  #allowance(origin: string): string[] {
    const fields = ["access-control-allow-origin", origin];
    if (this.#rule.allowCredentials) fields.push("access-control-allow-credentials", "true");
    return fields;
  }

  #editsFor(origin: string): HeadEdits {
    const known = this.#edits.get(origin);
    if (known !== undefined) return known;
    if (this.#edits.size >= KEPT_ORIGINS) this.#edits.clear();
    const edits = this.#newEdits(origin);
    this.#edits.set(origin, edits);
    return edits;
  }

  #newEdits(origin: string): HeadEdits {
    const set: [string, string][] = [["access-control-allow-origin", origin]];
    if (this.#rule.allowCredentials) set.push(["access-control-allow-credentials", "true"]);
    if (this.#exposed !== "") set.push(["access-control-expose-headers", this.#exposed]);
    const edits = HeadEdits.of([{ set, add: [["vary", "Origin"]] }]);
    if (edits === null) throw new RangeError("CORS headers that cannot be sent");
    return edits;
  }
}

/** The name of a method or header, or a star, which is a token too (RFC 9110 section 5.6.2). */
function isName(text: string, onProblem: (reason: string) => void): boolean {
  const isToken = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(text);
  if (!isToken) onProblem(`${JSON.stringify(text)} is no name of a method or header`);
  return isToken;
}

/** Of a preflight; `""`: it is none. */
function askedMethod(head: RequestHead): string {
  return fieldValue(head.fields, "access-control-request-method") ?? "";
}
