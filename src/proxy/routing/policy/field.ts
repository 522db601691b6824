/** Value of the first field of this name (lower case) among flat names and values, or null. */
export function fieldOf(fields: readonly string[], name: string): string | null {
  for (let at = 0; at < fields.length; at += 2) {
    const field = fields[at]!;
    if (field.length === name.length && field.toLowerCase() === name) return fields[at + 1]!;
  }
  return null;
}
