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
  "sec-websocket-key",
]);
/** Parts of names of fields that people give to credentials. */
const SECRET_NAME =
  /token|secret|passw|pwd|signature|credential|api[-_]?key|auth|session|cookie|private|jwt|otp|csrf|xsrf/i;
/** Values that look like a credential whatever their name: a scheme of RFC 9110 section 11, a JWT, a key in PEM. */
const SECRET_VALUE =
  /^\s*(?:basic|bearer|digest|negotiate|dpop|aws4-hmac-sha256)\s|eyJ[\w-]{8,}\.[\w-]{8,}\.|-----BEGIN /i;
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
    const isSecret = SECRET_FIELDS.has(name) || SECRET_NAME.test(name) || SECRET_VALUE.test(value);
    if (isSecret) return REDACTED;
    if (name === ":path" || name === "referer" || name === "location") return withoutQuery(value);
  }
  return value.length > MAX_VALUE ? `${value.slice(0, MAX_VALUE)}...` : value;
}

/** A target whose query has its names, but no values. A part without `=` may be a value as a whole. */
export function withoutQuery(target: string): string {
  const at = target.indexOf("?");
  if (at === -1) return shortened(target);
  const names = target
    .slice(at + 1, at + 1 + MAX_VALUE)
    .split("&")
    .map((part) => (part.includes("=") ? `${part.slice(0, part.indexOf("="))}=` : "") + REDACTED);
  return `${shortened(target.slice(0, at))}?${names.join("&")}`;
}

function shortened(text: string): string {
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE)}...` : text;
}
