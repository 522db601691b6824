/**
 * Content-Length of a field section that has passed the checks; -1: none. The sum of the DATA frames has to be equal to it
 * (RFC 9113 section 8.1.1).
 */
export function contentLengthOf(fields: readonly string[]): number {
  for (let at = 0; at < fields.length; at += 2) {
    if (fields[at] === "content-length") return Number(fields[at + 1]);
  }
  return -1;
}

/** The value of a pseudo-field, which are all at the begin of the section (RFC 9113 section 8.3); "": there is none. */
export function pseudoField(fields: readonly string[], name: string): string {
  for (let at = 0; at < fields.length && fields[at]!.startsWith(":"); at += 2) {
    if (fields[at] === name) return fields[at + 1]!;
  }
  return "";
}

/** What a section takes, as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 section 6.5.2). */
export function sectionBytes(fields: readonly string[]): number {
  let bytes = fields.length * 16;
  for (const text of fields) bytes += text.length;
  return bytes;
}
