/** Text of a configuration in the way a head has it: UTF-8, with one (latin1) character per byte. */
export function wireText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

const BEYOND_ASCII = /[\x80-\xff]/;

/** Lower case of ASCII letters only, because the others are parts of characters. */
export function asciiLower(text: string): string {
  if (!BEYOND_ASCII.test(text)) return text.toLowerCase();
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/**
 * Value of a field by its lower-case name; several of the same name are joined with commas, as Envoy does before it
 * matches (RFC 9110 section 5.3). Null: absent.
 */
export function fieldValue(fields: readonly string[], lowerCaseName: string): string | null {
  let value: string | null = null;
  for (let at = 0; at < fields.length; at += 2) {
    const name = fields[at]!;
    if (name.length !== lowerCaseName.length || name.toLowerCase() !== lowerCaseName) continue;
    value = value === null ? fields[at + 1]! : `${value},${fields[at + 1]!}`;
  }
  return value;
}
