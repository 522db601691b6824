import type { HeaderEdits } from "../../../core/traffic.ts";
import { fieldLine } from "../../../http/headers.ts";
import { wireText } from "../text/wire-text.ts";

/**
 * Fields that say where a message ends, where it goes, or who sent it: they are the proxy's own, and no configuration
 * may touch them.
 */
const KEPT: ReadonlySet<string> = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "x-forwarded-client-cert",
]);

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** What becomes of one name. */
interface Outcome {
  /** The lines that came are taken out. */
  removed: boolean;
  /** Lines that are added. */
  lines: string;
}

/**
 * Changes of the fields of a head, folded into one pass: which names are taken out, and which lines are added at the
 * end. Values are taken literally: `%` has no meaning in them (an author's `%%` or `%REQ(...)%` is for the translator of
 * that dialect to read).
 */
export class HeadEdits {
  readonly #removed: ReadonlySet<string>;
  /** Bit n: a name of that length (modulo 32) is taken out. Rules out most others without a string. */
  readonly #lengths: number;
  readonly #added: string;

  private constructor(outcomes: ReadonlyMap<string, Outcome>) {
    const removed = [...outcomes].flatMap(([name, outcome]) => (outcome.removed ? [name] : []));
    this.#removed = new Set(removed);
    this.#lengths = removed.reduce((bits, name) => bits | (1 << (name.length & 31)), 0);
    this.#added = [...outcomes.values()].map(({ lines }) => lines).join("");
  }

  /**
   * The edits one after the other; null: nothing is changed. What may not be done is left out: see `editProblems`.
   */
  static of(edits: readonly (HeaderEdits | undefined)[]): HeadEdits | null {
    const outcomes = new Map<string, Outcome>();
    for (const edit of edits) if (edit !== undefined) fold(edit, outcomes);
    return outcomes.size === 0 ? null : new HeadEdits(outcomes);
  }

  /** `headText`: the first line, field lines, and the empty line; one character per byte. */
  apply(headText: string): string {
    const end = headText.length - 2;
    const kept = this.#removed.size === 0 ? headText.slice(0, end) : this.#kept(headText, end);
    return `${kept}${this.#added}\r\n`;
  }

  /** The first line and the field lines that stay. */
  #kept(text: string, end: number): string {
    let kept = "";
    let from = 0;
    let at = text.indexOf("\n") + 1;
    while (at < end) {
      const next = text.indexOf("\n", at) + 1;
      if (this.#removes(text, at)) {
        kept += text.slice(from, at);
        from = next;
      }
      at = next;
    }
    return kept + text.slice(from, end);
  }

  #removes(text: string, at: number): boolean {
    const colon = text.indexOf(":", at);
    if ((this.#lengths & (1 << ((colon - at) & 31))) === 0) return false;
    return this.#removed.has(text.slice(at, colon).toLowerCase());
  }
}

/** Says of each edit that is left out why. */
export function editProblems(edits: HeaderEdits): string[] {
  const { set = [], add = [], remove = [] } = edits;
  const names = remove.map((name) => nameProblem(name));
  const lines = [...set, ...add].map(
    ([name, value]) => nameProblem(name) ?? valueProblem(name, value),
  );
  return [...names, ...lines].filter((problem) => problem !== null);
}

function nameProblem(name: string): string | null {
  if (!NAME.test(name)) return `${JSON.stringify(name)} is no name of a header`;
  return KEPT.has(name.toLowerCase()) ? `${name} is the proxy's own and stays as it is` : null;
}

function valueProblem(name: string, value: string): string | null {
  return lineOf(name, value) === null ? `the value of ${name} has a control character` : null;
}

/** Null: the value would break out of the line. */
function lineOf(name: string, value: string): string | null {
  const wire = wireText(value).replace(/^[ \t]+|[ \t]+$/g, "");
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(wire) ? fieldLine(name, wire) : null;
}

function fold({ set = [], add = [], remove = [] }: HeaderEdits, into: Map<string, Outcome>): void {
  for (const name of remove) {
    if (nameProblem(name) === null) into.set(name.toLowerCase(), { removed: true, lines: "" });
  }
  for (const [name, value] of set) {
    const lines = nameProblem(name) === null ? lineOf(name, value) : null;
    if (lines !== null) into.set(name.toLowerCase(), { removed: true, lines });
  }
  for (const [name, value] of add) {
    const line = nameProblem(name) === null ? lineOf(name, value) : null;
    if (line === null) continue;
    const before = into.get(name.toLowerCase()) ?? { removed: false, lines: "" };
    into.set(name.toLowerCase(), { removed: before.removed, lines: before.lines + line });
  }
}
