/** What may stand in a request target as it is. */
const TARGET = /^[\x21-\x7e]+$/;
/** A host with or without port. */
const AUTHORITY = /^(?:[A-Za-z0-9._~%-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?$/;
/** The first Host line of a head. */
const HOST = /\r\nhost:/i;

/** Can this be sent as Host? */
export function isAuthority(text: string): boolean {
  return AUTHORITY.test(text);
}

/**
 * The head of a request with another path, another Host, or both. What could break out of its place is not taken over:
 * then that part of the head stays as it is.
 */
export function requestLine(
  headText: string,
  changes: { readonly path?: string; readonly authority?: string },
): string {
  const { path, authority } = changes;
  let text = headText;
  if (path !== undefined && TARGET.test(path)) {
    const from = text.indexOf(" ") + 1;
    text = text.slice(0, from) + path + text.slice(text.indexOf(" ", from));
  }
  if (authority === undefined || !isAuthority(authority)) return text;
  return withHost(text, authority);
}

/** Host mostly is the first field, and then nothing has to be searched for. */
function withHost(text: string, authority: string): string {
  const end = text.indexOf("\r\n");
  const isFirst = text.startsWith("Host:", end + 2);
  const at = isFirst ? end : text.search(HOST);
  const line = `\r\nHost: ${authority}`;
  if (at === -1) return text.slice(0, end) + line + text.slice(end);
  return text.slice(0, at) + line + text.slice(text.indexOf("\r\n", at + 2));
}
