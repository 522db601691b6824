/** Equality of one `Meta` of the instance, in the spellings of go-bexpr's selectors and values. */
const EQUALITY =
  /^\s*Service\.Meta(?:\.([A-Za-z0-9_/-]+)|\["([^"]+)"\]|\.`([^`]+)`)\s*==\s*(?:"((?:[^"\\]|\\.)*)"|`([^`]*)`|([^\s()"`]+))\s*$/;
const MAX_LENGTH = 2_048;
const HINT =
  'only equalities of Service.Meta joined by and, such as `Service.Meta.version == "v2" and Service.Meta.tier == gold`: give the instances a Meta';

/**
 * The labels that a subset's filter (a go-bexpr expression) asks for. Null for one that the model cannot express, with
 * the reason: it knows only that several labels have values.
 */
export function labelsOfFilter(
  filter: string,
): { readonly labels: Readonly<Record<string, string>> } | { readonly reason: string } {
  if (filter.length > MAX_LENGTH) return { reason: `at most ${MAX_LENGTH} characters` };
  const labels = new Map<string, string>();
  for (const term of termsOf(unwrap(filter))) {
    const found = EQUALITY.exec(unwrap(term));
    if (found === null) return { reason: `not understood: ${term.trim() || filter}; ${HINT}` };
    const [, bare, indexed, quoted, text, raw, word] = found;
    const key = bare ?? indexed ?? quoted ?? "";
    const value = text?.replace(/\\(.)/g, "$1") ?? raw ?? word ?? "";
    if ((labels.get(key) ?? value) !== value) {
      return { reason: `matches nothing: ${key} cannot be both ${labels.get(key)} and ${value}` };
    }
    labels.set(key, value);
  }
  return { labels: Object.fromEntries(labels) };
}

/** The parts between `and`, outside of quotes. */
function termsOf(filter: string): string[] {
  if (filter.trim() === "") return [];
  const terms: string[] = [""];
  for (const [token] of filter.matchAll(/"(?:[^"\\]|\\.)*"|`[^`]*`|\s+and\s+|[\s\S]/g)) {
    if (/^\s+and\s+$/.test(token)) terms.push("");
    else terms.push(`${terms.pop()}${token}`);
  }
  return terms;
}

/** Without brackets around the whole of it. */
function unwrap(term: string): string {
  const trimmed = term.trim();
  return /^\([^()]*\)$/.test(trimmed) ? unwrap(trimmed.slice(1, -1)) : trimmed;
}
