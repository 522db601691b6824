/** In place of what may be a secret. */
export const REDACTED = "[redacted]";

/** Fields that hold credentials by their definition. */
const SECRET_FIELDS = new Set([
  "authorization",
  "proxy-authorization",
  "cookie",
  "set-cookie",
  "x-api-key",
  "x-forwarded-client-cert",
  "www-authenticate",
  "proxy-authenticate",
]);
/** Parts of names of fields that people give to credentials. */
const SECRET_NAME =
  /token|secret|passw|passphrase|pwd|signature|credential|key(?:$|[-_])|apikey|auth|bearer|session|cookie|private|principal|jwt|otp|csrf|xsrf|(?:^|[-_])(?:pass|pin|sid|sig)(?:$|[-_])/i;
/** Values that look like a credential whatever their name: a scheme of RFC 9110 section 11, a JWT, a key in PEM. */
const SECRET_VALUE =
  /^\s*(?:basic|bearer|digest|negotiate|dpop|aws4-hmac-sha256)\s|eyJ[\w-]{8,}\.[\w-]{8,}\.|-----BEGIN /i;
/** Tokens that say by how they begin whose they are: GitHub, GitLab, Slack, Vault, AWS, Google, Stripe, npm; and the mesh's own. */
const SECRET_PREFIX =
  /\b(?:gh[opsur]_|github_pat_|glpat-|xox[a-z]-|hv[bs]\.|AKIA|ASIA|AIza|sk_live_|rk_live_|npm_|hm1\.)[\w-]{8,}/;
/** Query and fragment of a target or URL anywhere in a value (RFC 3986 section 3.4 and 3.5): such as X-Envoy-Original-Path, Link, Refresh. */
const QUERIES = /[?#][^\s"'<>]+/g;
/** The user information of a URL (RFC 3986 section 3.2.1). */
const USER_INFO = /:\/\/[^/\s@?#"'<>]*@/g;
/** These name the tracing of a request, and are what one looks for. */
const HARMLESS = new Set([":authority", "x-request-id", "traceparent", "tracestate"]);

/** Fields as pairs; the values of those that may hold a secret are left out. At most so many, each value so long. */
export function redactedFields(fields: readonly string[]): [string, string][] {
  const pairs: [string, string][] = [];
  for (let at = 0; at + 1 < fields.length && pairs.length < MAX_FIELDS; at += 2) {
    const name = fields[at] ?? "";
    pairs.push([name, fieldValue(name.toLowerCase(), fields[at + 1] ?? "")]);
  }
  return pairs;
}

const MAX_FIELDS = 100;
const MAX_VALUE = 512;

function fieldValue(name: string, value: string): string {
  if (!HARMLESS.has(name)) {
    if (SECRET_FIELDS.has(name) || SECRET_NAME.test(name)) return REDACTED;
    if (SECRET_VALUE.test(value) || SECRET_PREFIX.test(value)) return REDACTED;
    const shown = shortened(value).replace(USER_INFO, `://${REDACTED}@`);
    return shortened(shown.replace(QUERIES, (query) => query[0] + namesOnly(query.slice(1))));
  }
  return shortened(value);
}

/** A target whose query has its names, but no values. A part without `=` may be a value as a whole. */
export function withoutQuery(target: string): string {
  const at = target.indexOf("?");
  if (at === -1) return shortened(target);
  return `${shortened(target.slice(0, at))}?${namesOnly(target.slice(at + 1, at + 1 + MAX_VALUE))}`;
}

function namesOnly(query: string): string {
  const names = query
    .split("&")
    .map((part) => (part.includes("=") ? `${part.slice(0, part.indexOf("="))}=` : "") + REDACTED);
  return shortened(names.join("&"));
}

function shortened(text: string): string {
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}...` : text;
}
