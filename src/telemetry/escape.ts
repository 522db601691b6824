/** Printable ASCII without quote and backslash: what needs no escape inside quotes. */
const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
/** What needs no quotes as the value of `key=value` either. */
const TOKEN = /^[\x21\x23-\x3c\x3e-\x5b\x5d-\x7e]+$/;
const BEYOND_ASCII = /[\x7f-\uffff]/g;

/**
 * The text as a JSON string of printable ASCII (RFC 8259 section 7 escapes). Nothing in it can end a
 * line, close the quotes, move a terminal's cursor or be invalid UTF-8, so no log line can be forged.
 */
export function quoted(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`;
  return JSON.stringify(text).replace(BEYOND_ASCII, escapeUnit);
}

/** The text as it is where it is one plain word, else quoted; the empty text is `-`. */
export function token(text: string): string {
  if (text === "") return "-";
  return TOKEN.test(text) ? text : quoted(text);
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
