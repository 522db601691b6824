import { stripVTControlCharacters } from "node:util";

/** Meaning of a piece of text; what it looks like is decided in one place. */
export type Style = "good" | "bad" | "warn" | "dim" | "strong";

const SGR: Readonly<Record<Style, string>> = {
  good: "32",
  bad: "31",
  warn: "33",
  dim: "2",
  strong: "1",
};

/** Wraps the text in the ANSI sequence of its style, or returns it as it is where colour is off. */
export function paint(text: string, style: Style | undefined, color: boolean): string {
  return style === undefined || !color ? text : `\u001b[${SGR[style]}m${text}\u001b[0m`;
}

/**
 * Colour for a stream: FORCE_COLOR wins as it does in Node itself (`0` and `false` mean off), then a
 * non-empty NO_COLOR (no-color.org) means off, else colour is for terminals other than TERM=dumb.
 */
export function wantsColor(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  const force = env["FORCE_COLOR"];
  if (force !== undefined) return force !== "0" && force !== "false";
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  return isTerminal && env["TERM"] !== "dumb";
}

/**
 * Text from elsewhere (names, error messages) made safe for a terminal: escape sequences are dropped and
 * other control characters become `?`, so that no registered name can move the cursor or change a title.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point.
  return stripVTControlCharacters(text).replace(/[\u0000-\u001f\u007f-\u009f]/g, "?");
}

/** Cuts the text to `width` characters; the last one becomes `…` where something was cut. */
export function truncate(text: string, width: number): string {
  const characters = [...text];
  if (characters.length <= width) return text;
  return width <= 0 ? "" : `${characters.slice(0, width - 1).join("")}…`;
}
