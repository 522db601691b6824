const EMPTY: ReadonlyMap<string, string> = new Map();
const AMPERSAND = 0x26;
const EQUALS = 0x3d;

/**
 * First value of a query parameter (Gateway API, and Envoy's `getFirstValue`); `""` where it has no `=`, null where it
 * is absent. Names and values are compared as they were sent: Envoy decodes neither before it matches.
 */
export function queryParam(query: string, name: string): string | null {
  let at = 0;
  while (at <= query.length) {
    const found = query.indexOf(name, at);
    if (found === -1) return null;
    const after = found + name.length;
    at = found + 1;
    if (found > 0 && query.charCodeAt(found - 1) !== AMPERSAND) continue;
    if (after === query.length) return "";
    const code = query.charCodeAt(after);
    if (code === AMPERSAND) return "";
    if (code === EQUALS) return upToAmpersand(query, after + 1);
  }
  return null;
}

function upToAmpersand(query: string, from: number): string {
  const end = query.indexOf("&", from);
  return query.slice(from, end === -1 ? query.length : end);
}

/** First values of all parameters that are among `names`. */
export function queryParams(
  query: string,
  names: { has(name: string): boolean },
): ReadonlyMap<string, string> {
  if (query === "") return EMPTY;
  const params = new Map<string, string>();
  let at = 0;
  while (at <= query.length) {
    const next = query.indexOf("&", at);
    const end = next === -1 ? query.length : next;
    const pair = query.slice(at, end);
    at = end + 1;
    const equals = pair.indexOf("=");
    const name = equals === -1 ? pair : pair.slice(0, equals);
    if (!names.has(name) || params.has(name)) continue;
    params.set(name, equals === -1 ? "" : pair.slice(equals + 1));
  }
  return params;
}
