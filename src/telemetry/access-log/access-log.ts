import type { RequestFacts } from "../../core/facts.ts";
import { parseLogFormat } from "../../core/log-format.ts";
import type { LineWriter } from "../line-writer.ts";
import { compileFormat, type LineForm } from "./compile-format.ts";
import type { LogChooser } from "./log-chooser.ts";
import { jsonLine, textLine } from "./own-lines.ts";

export interface AccessLogOptions {
  /** `telemetry.accessLogFormat`; "": our own lines. */
  readonly format: string;
  /** Name of this host. */
  readonly host: string;
  readonly chooser: Pick<LogChooser, "choose">;
  readonly writer: Pick<LineWriter, "push">;
  /** The time of day in ms since 1970. */
  readonly wall?: () => number;
}

/** Our own lines, where no format is given for lines of their kind. */
const OWN = { json: { line: jsonLine, details: false }, text: { line: textLine, details: false } };

/** Which form lines of JSON and of text have. A format is of one kind; those of the other stay our own. */
function formsOf(format: string, host: string): Readonly<Record<"json" | "text", LineForm>> {
  if (format === "") return OWN;
  const compiled = (encoding: "json" | "text") =>
    compileFormat(parseLogFormat(format, encoding), host);
  if (format === "istio") return { json: compiled("json"), text: compiled("text") };
  return parseLogFormat(format, "text").kind === "json"
    ? { ...OWN, json: compiled("json") }
    : { ...OWN, text: compiled("text") };
}

/**
 * One line per exchange that is chosen. Values come from clients and are escaped to printable ASCII, so no value can
 * start a line or a field of its own.
 */
export class AccessLog {
  readonly #forms: Readonly<Record<"json" | "text", LineForm>>;
  readonly #chooser: Pick<LogChooser, "choose">;
  readonly #writer: Pick<LineWriter, "push">;
  readonly #wall: () => number;

  constructor({ format, host, chooser, writer, wall = Date.now }: AccessLogOptions) {
    this.#forms = formsOf(format, host);
    this.#chooser = chooser;
    this.#writer = writer;
    this.#wall = wall;
  }

  /** Do its lines need `RequestFacts.details`? */
  get needsDetails(): boolean {
    return this.#forms.json.details || this.#forms.text.details;
  }

  /** `false`: too much is waiting to be written, and the line was dropped; null: there is to be none. */
  write(facts: Readonly<RequestFacts>): boolean | null {
    const chosen = this.#chooser.choose(facts);
    if (chosen === "off") return null;
    return this.#writer.push(this.#forms[chosen].line(facts, this.#wall()));
  }
}
